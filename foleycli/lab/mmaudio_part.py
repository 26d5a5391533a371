"""Time one part of MMAudio with random weights, in this checkout or in an older one: see `foleycli.lab.mmaudio_speed`.

    python -c "$(cat foleycli/lab/mmaudio_part.py)" PART DTYPE OUTPUT

Prints processor seconds as JSON and saves what the part made.  Since it must run where names are older ones (up to
commit 71e6ab0), it imports nothing that it can do without, and tries both.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

N_RANDOM = 1 << 20  # numbers that are repeated: a thousand million random ones take long
GAIN = 0.6  # with which random weights make sounds that are not clipped


def module(*names: str) -> Any:
    """The first of these modules that there is."""
    for name in names:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError(names)


def filled(build: Callable[[], Any], dtype: torch.dtype) -> Any:
    """A network with random weights that keep signals at about their size; factors are 1, what is added is 0."""
    with torch.device("meta"):
        network = build().to(dtype)
    network.to_empty(device="cpu").eval().requires_grad_(False)
    numbers = (torch.rand(N_RANDOM) * 2 - 1).to(dtype)
    for name, value in network.state_dict().items():
        if value.ndim > 1 and not name.endswith(("_mean", "_std")):
            for piece in value.view(-1).split(N_RANDOM):
                piece.copy_(numbers[: len(piece)])
            value.mul_(GAIN * math.sqrt(3 / math.prod(value.shape[1:])))
        else:
            value.fill_(1.0 if name.endswith(("weight", "_std")) else 0.0)
    return network


def step(dtype: torch.dtype) -> Callable[[int], Any]:
    """A step of the sampler of large_44k_v2 (for 8 s: 345 latent steps) with and without the picture and the words."""
    networks, config = module("foleycli.families.mmaudio.network"), module("foleycli.families.mmaudio.config")
    network = filled(lambda: networks.MMAudio(config.NETWORKS["large_44k_v2"]), dtype)
    with_picture = torch.randn(1, 64, 1024), torch.randn(1, 192, 768), torch.randn(1, 77, 1024)
    empty = (
        network.empty_clip_feat.expand(1, 64, -1),
        network.empty_sync_feat.expand(1, 192, -1),
        network.empty_string_feat[None],
    )
    both = [torch.cat([one.to(dtype), other]) for one, other in zip(with_picture, empty, strict=True)]
    is_older = hasattr(networks, "Inputs")
    inputs = (networks.Inputs if is_older else networks.MMAudioInputs)(*both, torch.zeros(2))
    encode = network.conditions if is_older else network.encode_conditions
    conditions = {n_steps: encode(inputs, n_steps) for n_steps in SIZES["step"]}
    x, t = torch.randn(1, 345, 40).to(dtype), torch.full((2,), 0.5)
    rows = x.repeat(2, 1, 1) if is_older else x
    return lambda n_steps: network(rows[:, :n_steps], t, conditions[n_steps])


def synchformer(dtype: torch.dtype) -> Callable[[int], Any]:
    """Segments of 16 frames, 0.64 s of film each."""
    extractors, towers = module("foleycli.features.synchformer"), module("foleycli.nn.motionformer")
    extractor = extractors.Synchformer(filled(towers.Motionformer, dtype))
    segments = torch.randint(0, 256, (2, 16, 224, 224, 3), dtype=torch.uint8)
    encode = extractor.encode if hasattr(extractor, "encode") else extractor.look
    return lambda n_segments: encode(segments[:n_segments])


def codec(dtype: torch.dtype) -> Callable[[int], Any]:
    """Latents, 8 s, to sound at 44.1 kHz."""
    codecs = module("foleycli.codecs.mmaudio.codec", "foleycli.codecs.mmaudio")
    mel, vae, vocoder = codecs.NETWORKS["44k"]
    networks = filled(lambda: codecs.Vae(vae), dtype), filled(lambda: codecs.BigVGAN(vocoder), dtype)
    made = codecs.MMAudioCodec(codecs.LogMel(mel), *networks)
    latents = torch.randn(1, 345, 40)
    return lambda n_steps: made.decode(latents[:, :n_steps])


PARTS = {"step": step, "synchformer": synchformer, "codec": codec}
SIZES = {"step": (48, 345), "synchformer": (1, 2), "codec": (4, 345)}  # of a run that counts for nothing, and the other


@torch.inference_mode()
def main(name: str, dtype: str, output: str) -> None:
    """Run the part; see above."""
    torch.manual_seed(1)
    run = PARTS[name](getattr(torch, dtype))
    small, whole = SIZES[name]
    run(small)
    began_s = time.process_time()
    made = run(whole)
    spent_s = time.process_time() - began_s
    torch.save(made.float().clone(), output)
    sys.stdout.write(json.dumps({"cpu_s": spent_s}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
