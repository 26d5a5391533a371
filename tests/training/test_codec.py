"""The codec's objective: what is trained when the encoder is frozen, and a discriminator of the recipe's size."""

import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file

from foleycli.training.codec import CodecTask
from foleycli.training.loop import Trainer
from foleycli.training.recipe import Recipe

SMALL = {"encoder_dim": 8, "decoder_dim": 64, "n_codebooks": 2, "codebook_size": 32}
STAYS = ("encoder.", "mel.", "quantizer.", "latent_mean", "latent_std")


@pytest.fixture
def trained(tmp_path):  # noqa: ANN201
    """A call that trains two steps with an objective and gives the exported weights."""
    for name in "abc":
        path = tmp_path / "sounds" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(22050), 44100)

    def call(name: str, init_from: str = "", **objective: object) -> tuple[dict, CodecTask]:
        data = {"sounds": str(tmp_path / "sounds"), "crop_steps": 4}
        recipe = Recipe(name=name, steps=2, batch_size=2, lr=1e-3, init_from=init_from, network=SMALL, data=data,
                        objective=objective, warmup_steps=1, precision="float32")  # fmt: skip
        task, out = CodecTask(recipe), tmp_path / name
        out.mkdir()
        Trainer(task, recipe, out, next(task.network.parameters()).device).run()
        return load_file(out / "model" / "model.safetensors"), task

    return call


def test_frozen_encoder_keeps_latents_and_codes_to_the_bit(trained, tmp_path):
    before, _ = trained("first")
    after, _ = trained("second", str(tmp_path / "first" / "model"), frozen_encoder=True)
    changed = {key for key in before if not before[key].equal(after[key])}
    assert not [key for key in changed if key.startswith(STAYS)]
    assert [key for key in changed if key.startswith("decoder.")]


def test_discriminator_has_the_windows_and_width_of_the_recipe(trained):
    _, task = trained("adversarial", adversarial=1.0, discriminator_windows=[256], discriminator_width=4)
    (discriminator,) = task.adversary.discriminators
    assert (discriminator.n_fft, discriminator.layers[0].out_channels) == (256, 4)
