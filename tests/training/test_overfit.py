"""Each full-size recipe, reduced by --reduced, learns 16 clips by heart: its loss falls below a bound, and of the 16
sounds the one that it makes for a clip's picture and words is nearest to that clip's own.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from foleycli.dsp.mel import log_mel
from foleycli.families import load_family
from foleycli.features import sync_large
from foleycli.features.tagger import simulate_tagger
from foleycli.features.text import WordLlamaText
from foleycli.hub.resolve import resolve
from foleycli.models.model import load_vae_codec
from foleycli.records import Features, Stream
from foleycli.settings import preset
from foleycli.settings.settings import Settings
from foleycli.timebase import FEATURE_FPS
from foleycli.training.clips import ClipData, world_clips
from foleycli.training.examples import Example, ExampleStream, FamilyData, make_ahead
from foleycli.training.family import SEMANTIC_RATE_HZ
from foleycli.training.recipe import from_dict, read_recipe
from foleycli.training.run import train
from foleycli.training.sources import clip_stream
from foleycli.training.sync_large import SyncLargeTask

N_CLIPS = 16
DURATION_S = 1.6
RECIPES = preset.folder() / "train"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:  # noqa: ANN001
    """Where the sixteen clips are kept, so that they are made once for all."""
    return tmp_path_factory.mktemp("clips")


def data_lines(cache: Path) -> list[str]:
    """Sixteen drawn clips with synthesised sounds, in the place of prepared shards."""
    return [
        "data.shards=''",
        f"data.cache={cache}",
        f"data.clips={{duration_s: {DURATION_S}}}",
        "data.sounds_per_clip=1",
        f"data.first={N_CLIPS}",
        f"data.pool={N_CLIPS}",
        "data.fresh_per_step=0",
    ]


def sixteen(recipe_name: str, lines: list[str]) -> list[Example]:
    recipe = read_recipe(RECIPES / f"{recipe_name}.yaml", lines, is_reduced=True)
    data = from_dict(FamilyData, recipe.data, "data")
    clips = from_dict(ClipData, data.clips, "clips")
    make_ahead(recipe, data, clips, count=N_CLIPS)
    stream = iter(ExampleStream(data, clips, 0))
    return [next(stream) for _ in range(N_CLIPS)]


def last_losses(out: Path) -> dict[str, float]:
    """The last line of losses in a training's log."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line][-1]


def own_sound_is_nearest(model: Path, examples: list[Example], codec_name: str, **settings: Any) -> float:
    """The share of clips whose generated sound is nearer to their own than to any other clip's, by latents."""
    family = load_family(model, "cpu", torch.float32)
    codec = load_vae_codec(resolve(codec_name), torch.device("cpu"))
    text = WordLlamaText()
    spec, made = family.spec, []
    is_codes = spec.latents == "codes"
    for number, example in enumerate(examples):
        words = torch.from_numpy(text.encode([example.words[0][0]])[0])
        seen = simulate_tagger(words[None], 6, torch.Generator().manual_seed(number))[0]  # as in training
        streams = {"sync": Stream(example.sync.float(), FEATURE_FPS), "semantic": Stream(seen, SEMANTIC_RATE_HZ)}
        streams = {name: stream for name, stream in streams.items() if name in spec.stream_dims}
        known = torch.zeros(1, spec.window_steps, spec.latent_dim, dtype=torch.long if is_codes else torch.float32)
        is_known = torch.zeros(1, spec.window_steps, dtype=torch.bool)
        rng = torch.Generator().manual_seed(number)
        made.append(
            family.sample([Features(streams, words)], known, is_known, Settings(library=False, **settings), [rng])[0]
        )

    def as_latents(codes: Tensor) -> Tensor:
        return codec.codes_to_latents(codes[None].long())[0] if is_codes else codes.float()

    own = [example.sounds.codes[0] if is_codes else example.sounds.latents[0] for example in examples]
    mine, theirs = (torch.stack([as_latents(x)[: spec.window_steps].flatten() for x in each]) for each in (made, own))
    nearest = torch.cdist(mine, theirs).argmin(dim=1)
    return float((nearest == torch.arange(N_CLIPS)).float().mean())


@pytest.mark.parametrize(
    ("system", "recipe", "loss", "bound", "settings"),
    [
        # The large recipe; the small one is reduced to the same network.
        pytest.param("salsa-v", "salsav-large", "flow", 0.3, {"steps": 8}, id="salsa_v"),
        # Nats; log 1024 is 6.9.
        pytest.param("maskvat", "maskvat-large", "codes", 1.5, {"steps": 8}, id="maskvat"),
        pytest.param("vaura", "vaura-large", "loss", 1.5, {}, id="vaura"),
        # Reduced, it is one training instead of four stages.
        pytest.param("foley-flow", "foleyflow-large", "loss", 0.3, {"steps": 8}, id="foley_flow"),
    ],
)
def test_a_system_learns_sixteen_clips(tmp_path, cache, system, recipe, loss, bound, settings):
    lines = data_lines(cache)
    examples = sixteen(recipe, lines)
    model = train(system, RECIPES / f"{recipe}.yaml", tmp_path / "run", overrides=lines, is_reduced=True)
    assert last_losses(tmp_path / "run")[loss] < bound
    assert own_sound_is_nearest(model, examples, "mel-mini", **settings, guidance=1.0) >= 14 / 16


def test_the_synchronisation_encoder_learns_sixteen_clips(tmp_path):
    recipe = RECIPES / "sync-large.yaml"
    lines = ["data.shards=''"]
    model = train("sync-large", recipe, tmp_path / "run", overrides=lines, is_reduced=True)
    assert last_losses(tmp_path / "run")["loss"] < 1.5  # 4.4 where nothing is learnt but how many pairs are right
    task = SyncLargeTask(read_recipe(recipe, lines, is_reduced=True))
    clips = clip_stream(task.data, task.recipe, first_clip=0, rank=0, world_size=1)
    pool = [next(clips) for _ in range(4 * N_CLIPS)][-N_CLIPS:]  # of the clips that it was filled with, the latest
    cuts = [task.cut_grey(clip) for clip in pool]
    encoder = sync_large.load(model, torch.device("cpu"))
    with torch.inference_mode():
        seen, heard = encoder(torch.stack([c.pictures for c in cuts]), torch.stack([c.samples for c in cuts]))
    similarity = torch.einsum("isd,jsd->ij", seen, heard)  # of each picture and each sound, over their snippets
    assert (similarity.argmax(dim=1) == torch.arange(N_CLIPS)).float().mean() >= 14 / 16


def test_the_codec_learns_sixteen_sounds(tmp_path):
    data = ClipData(duration_s=DURATION_S)
    for number, clip in enumerate(itertools.islice(world_clips(data, 0), N_CLIPS)):
        path = tmp_path / "sounds" / f"kind{number:02}" / "take.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, clip.samples, 44100)
    lines = [f"data.sounds={tmp_path / 'sounds'}"]
    model = train("codec", RECIPES / "codec-large.yaml", tmp_path / "run", overrides=lines, is_reduced=True)
    assert last_losses(tmp_path / "run")["smooth"] < 0.7
    codec = load_vae_codec(model, torch.device("cpu"))
    files = sorted((tmp_path / "sounds").rglob("*.wav"))
    real = torch.from_numpy(np.stack([soundfile.read(path, dtype="float32")[0] for path in files]))
    with torch.inference_mode():
        made = codec.synthesise(codec.posterior(real).mean)
    spectra = [log_mel(x[:, : real.shape[1]], 44100, 1024, hop=256, n_mels=64).flatten(1) for x in (made, real)]
    nearest = torch.cdist(*spectra).argmin(dim=1)
    assert (nearest == torch.arange(len(files))).float().mean() >= 14 / 16
