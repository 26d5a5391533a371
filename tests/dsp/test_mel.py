"""Spectra whose tables are kept between calls."""

import torch

from foleycli.dsp.mel import log_mel


def test_tables_first_made_in_inference_mode_serve_a_training() -> None:
    with torch.inference_mode():
        log_mel(torch.zeros(1, 2000), 12345, 512, 128, 20)  # a rate that nothing else asks for
    samples = torch.rand(1, 2000, requires_grad=True)
    log_mel(samples, 12345, 512, 128, 20).sum().backward()
    assert samples.grad.abs().sum() > 0
