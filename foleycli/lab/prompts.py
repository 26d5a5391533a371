"""Does a model make what the words say?  20 prompts on one clip; what is made is named by the recordings nearest to it.

    python -m foleycli.lab.prompts CLIP --sounds ../shared/sounds --aisfx aisfx-0.1.2-py2.py3-none-any.whl

A prompt is the main label of a kind of recorded sound (`foleycli/soundset/kinds.py`).  aisfx hears what is made
and what was recorded; the nearest family is the one whose three nearest recordings have the highest mean cosine.
Chance is 1 in 20.  Neighbours are, once, recordings that nothing was trained on alone (2 to 9 a family), once up to 24
recordings of each family, and once those of them that are not of a series ("hit wood 1", "hit wood 2") of which the
shipped library lends a reel.  How far the rule itself can tell is measured on the held-out recordings: each is left out
of its neighbours, once with its whole series, as it is and after the model's codec.  And how far it can tell on this
clip: recordings of each family struck at the moments that the encoder sees, as the synthetic worlds do it.

aisfx was trained on single effects, and nearly all recordings are single; what is made is a row of them.  So it is
heard twice, whole ("by_all") and cut at its onsets, as the mean of its hits ("by_hits"), and so are struck recordings.
A sound that goes on, as rain does, stays whole.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from foleycli.dsp.onsets import cut_at_onsets, loudness_envelope
from foleycli.errors import FoleyError
from foleycli.evaluation import networks
from foleycli.evaluation.embedders.base import AudioEmbedder
from foleycli.evaluation.neighbours import MAX_PER_LABEL, MAX_S, NearestNeighbours, pooled
from foleycli.evaluation.pairs import RATE_HZ
from foleycli.evaluation.synchrony import extract_stream
from foleycli.hub.resolve import default_settings, resolve
from foleycli.library.library import lent_files
from foleycli.media.audio import read_audio, resample
from foleycli.media.probe import probe
from foleycli.models.model import Model, load_model
from foleycli.records import Video
from foleycli.rendering.job import RenderJob
from foleycli.rendering.timbre import encode_audio
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings
from foleycli.soundset.bank import SoundBank
from foleycli.soundset.held_out import is_held_out
from foleycli.soundset.kinds import SOUND_KINDS
from foleycli.soundset.sounds import list_sounds
from foleycli.synthetic.config import Event, Mode, Track
from foleycli.synthetic.sound import mix_of
from foleycli.timebase import FEATURE_FPS
from foleycli.windows.compose import decode_chunks

# Different materials and actions, each with two held-out recordings or more in ../shared/sounds.  Of families whose
# recordings aisfx takes for one another when a series is left out (metal and sword, wood and chop, water and rain, the
# soft grounds) one stands for all.
CHOSEN = (
    "wood", "metal", "stone", "thud", "knife", "hand drum", "click", "gun", "explosion", "door",
    "step tile", "step gravel", "water", "fire", "wind", "bird", "man", "engine", "scrape", "nature",
)  # fmt: skip

STRENGTH, DRAWS = 0.8, 3  # of the hits of recordings, and how often takes of a family are drawn
LEAD_S, HIT_S, SHORTEST_S = 0.05, 2.3, 0.1  # of a hit heard by itself: aisfx hears blocks of 2.3 s
QUIET = 1e-3  # full scale is 1: a hit whose peak is below is not heard
PAUSE_DB = 26.0  # below the loudest moment; by trial: water, fire, wind, engine within 22, guns and explosions 30
NEIGHBOURS = ("by_held_out", "by_all", "by_unlent", "by_hits", "by_hits_unlent")  # of `Named`, in the order of `Result`


@dataclass(frozen=True)
class Recording:
    """A recorded sound of one family and of no other."""

    family: str
    file: str
    series: str  # recordings of one series are of the same thing on the same day
    is_lent: bool  # the shipped library has a reel of its series
    samples: np.ndarray  # float32 [N] at RATE_HZ

    @property
    def is_held_out(self) -> bool:
        return is_held_out(self.file)


@dataclass(frozen=True)
class Named:
    """What a made sound was taken for."""

    prompt: str
    family: str
    seed: int
    by_held_out: str
    by_all: str
    by_unlent: str  # by what the library has no reel of
    by_hits: str  # as `by_all`, hit by hit
    by_hits_unlent: str


@dataclass(frozen=True)
class Ceiling:
    """How many of the held-out recordings get their own family, mean over families, with these neighbours."""

    held_out: float
    all: float
    all_of_other_series: float


@dataclass(frozen=True)
class Struck:
    """Share of recordings, struck at the clip's moments, that get their own family of all but their own series."""

    as_they_are: float
    after_codec: float
    by_hits: float
    by_hits_after_codec: float


@dataclass(frozen=True)
class Result:
    """All figures; accuracies are shares of made sounds whose nearest family is the prompt's."""

    model: str
    clip: str
    settings: Settings  # but for prompt and seed
    accuracy_by_held_out: float
    accuracy_by_all: float
    accuracy_by_unlent: float
    accuracy_by_hits: float
    accuracy_by_hits_unlent: float
    ceiling: Ceiling
    ceiling_after_codec: Ceiling
    struck: Struck | None  # None: the encoder sees no moments in the clip
    recordings: int
    recordings_held_out: int
    sounds: list[Named]


class Bank:
    """Recordings as aisfx hears them, and the two sets of neighbours."""

    def __init__(self, embedder: AudioEmbedder, recordings: Sequence[Recording]) -> None:
        self.embedder, self.recordings = embedder, recordings
        vectors = np.stack([self.vector(one.samples) for one in recordings])  # [n, D]
        rows = [row for row, one in enumerate(recordings) if one.is_held_out]
        self.kept_back = [recordings[row] for row in rows]
        self.all = NearestNeighbours([one.family for one in recordings], vectors)
        self.held_out = NearestNeighbours([one.family for one in self.kept_back], vectors[rows])
        self.lent = [row for row, one in enumerate(recordings) if one.is_lent]

    def vector(self, samples: np.ndarray, rate_hz: int = RATE_HZ) -> np.ndarray:
        """A sound [N] as one vector [D]."""
        return pooled(self.embedder.embed(resample(samples[None], rate_hz, self.embedder.rate_hz)[0]))

    def vector_by_hits(self, samples: np.ndarray, rate_hz: int = RATE_HZ) -> np.ndarray:
        """A sound [N] as the mean of what its hits are by themselves, [D]; where it goes on, as a whole."""
        hits = [] if goes_on(samples, rate_hz) else cut_at_onsets(samples, rate_hz, LEAD_S, HIT_S)
        loud = [hit for hit in hits if len(hit) > SHORTEST_S * rate_hz and np.abs(hit).max() > QUIET]
        mean = np.mean([self.vector(hit, rate_hz) for hit in loud or [samples]], axis=0)
        return mean / max(float(np.linalg.norm(mean)), 1e-9)

    def ceiling(self, vectors: Sequence[np.ndarray]) -> Ceiling:
        """`vectors` are the held-out recordings, as they are or changed."""
        rows = {one.file: row for row, one in enumerate(self.recordings)}
        series = {one.series: [row for row, other in enumerate(self.recordings) if other.series == one.series]
                  for one in self.kept_back}  # fmt: skip
        right: dict[str, list[tuple[bool, ...]]] = {}
        for row, (one, vector) in enumerate(zip(self.kept_back, vectors, strict=True)):
            named = (
                self.held_out.classify(vector, [row]),
                self.all.classify(vector, [rows[one.file]]),
                self.all.classify(vector, series[one.series]),
            )
            right.setdefault(one.family, []).append(tuple(name == one.family for name in named))
        return Ceiling(*(float(share) for share in np.mean([np.mean(of, axis=0) for of in right.values()], axis=0)))


def goes_on(samples: np.ndarray, rate_hz: int) -> bool:
    """Whether a sound [N] hardly ever pauses: three quarters of the time it is not far below its loudest."""
    levels_db = loudness_envelope(samples, rate_hz)
    return bool(levels_db.max() - np.percentile(levels_db, 25) < PAUSE_DB)


def read_recordings(folder: Path, families: Sequence[str] = CHOSEN) -> list[Recording]:
    """Up to MAX_PER_LABEL recordings a family, all held-out ones among them; errors: FoleyError where one has none."""
    patterns = {name: re.compile(SOUND_KINDS[name].pattern) for name in families}
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in families}
    listed_sounds, lent = sorted(list_sounds(folder), key=lambda one: one.file), lent_files()
    lent_series = {one.key for one in listed_sounds if one.file in lent}
    for one in listed_sounds:
        of = [name for name, pattern in patterns.items() if pattern.search(one.key)]
        if len(of) == 1:
            found[of[0]].append((one.file, one.key))
    recordings = []
    for family, listed in found.items():
        kept_back = [one for one in listed if is_held_out(one[0])]
        if len(kept_back) < 2:
            raise FoleyError(
                f"{folder} has {len(kept_back)} held-out recordings of {family!r}, not two",
                "give the set of sounds that the shipped models were trained with (foleycli/shipped/SOUNDS.md)",
            )
        others = [one for one in listed if not is_held_out(one[0])]
        n_others = max(0, min(MAX_PER_LABEL - len(kept_back), len(others)))
        spread = [others[k * len(others) // n_others] for k in range(n_others)]  # not all of one series
        for file, series in (*kept_back, *spread):
            samples = read_audio(folder / file, RATE_HZ, 1, duration_s=MAX_S).samples[0]
            recordings.append(Recording(family, file, series, series in lent_series, samples))
    return recordings


@torch.inference_mode()
def through_codec(samples: np.ndarray, model: Model) -> np.ndarray:
    """Mono [N] at RATE_HZ after the model's codec, [N'] at the codec's rate."""
    latents = encode_audio(resample(samples[None], RATE_HZ, model.codec.rate_hz)[0], model)
    return torch.cat(list(decode_chunks(model.codec, latents.to(model.device)))).float().cpu().numpy()


def struck(model: Model, video: Video, bank: Bank, sounds: Path) -> Struck | None:
    """Recordings of every family at the moments that the encoder sees; families without an attack go on throughout.

    None where it sees none.
    """
    seen_s = model.sync.events_s(extract_stream(video.path, model.sync))
    if not seen_s:
        return None
    takes, right = SoundBank(sounds, only_recorded=True), []
    for family in bank.all.labels:
        mode: Mode = "texture" if SOUND_KINDS[family].shape == "loop" else "hits"
        events = tuple(Event(time_s, STRENGTH, family) for time_s in seen_s)
        track = Track(video.duration_s, int(FEATURE_FPS), "train", mode, (family,), events, "struck")
        for draw in range(DRAWS):
            mix = mix_of(track, takes, np.random.default_rng(draw))
            own = {take.group for take in mix.source.takes} if mix.source else set()
            rows = [row for row, one in enumerate(bank.recordings) if one.series in own]
            coded = through_codec(mix.samples, model), model.codec.rate_hz
            whole = bank.vector(mix.samples), bank.vector(*coded)
            by_hits = bank.vector_by_hits(mix.samples), bank.vector_by_hits(*coded)
            right.append([bank.all.classify(vector, rows) == family for vector in (*whole, *by_hits)])
    return Struck(*(float(share) for share in np.mean(right, axis=0)))


def measure(model: Model, video: Video, settings: Settings, bank: Bank, sounds: Path, n_seeds: int) -> Result:
    """Render every prompt and name what came out."""
    by_recordings = struck(model, video, bank, sounds)
    named = []
    for family in bank.all.labels:
        for seed in range(settings.seed, settings.seed + n_seeds):
            own = replace(settings, prompt=SOUND_KINDS[family].labels[0], seed=seed)
            sound = made(model, video, own)
            whole, hits = bank.vector(sound), bank.vector_by_hits(sound)
            names = bank.held_out.classify(whole), bank.all.classify(whole), bank.all.classify(whole, bank.lent)
            named.append(
                Named(own.prompt, family, seed, *names, bank.all.classify(hits), bank.all.classify(hits, bank.lent))
            )
    plain = bank.ceiling(list(bank.held_out.vectors))
    coded = [bank.vector(through_codec(one.samples, model), model.codec.rate_hz) for one in bank.kept_back]
    return Result(
        model.name, video.path.name, settings,
        *(share_right(named, neighbours) for neighbours in NEIGHBOURS),
        plain, bank.ceiling(coded), by_recordings,
        len(bank.recordings), len(bank.kept_back), named,
    )  # fmt: skip


def share_right(named: Sequence[Named], neighbours: str) -> float:
    """How many of the sounds got their own family by these neighbours."""
    return float(np.mean([getattr(one, neighbours) == one.family for one in named]))


def made(model: Model, video: Video, settings: Settings) -> np.ndarray:
    """What `foley render` makes, mono [N] at RATE_HZ."""
    with tempfile.TemporaryDirectory(prefix="foley-prompts-") as folder:
        out = Path(folder) / "made.wav"
        RenderJob(video, out, settings).run(model)
        return read_audio(out, RATE_HZ, 1).samples[0]


def main(
    clip: Annotated[Path, typer.Argument(help="The video that all prompts are rendered for.")],
    sounds: Annotated[Path, typer.Option(help="The folder of labelled sounds that the worlds are made of.")],
    aisfx: Annotated[Path | None, typer.Option(help="aisfx's wheel or weights.")] = None,
    model: Annotated[str, typer.Option(help="Name or folder.")] = "salsav-mini",
    steps: Annotated[int | None, typer.Option(help="Sampler steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance by the picture.")] = None,
    words_guidance: Annotated[float | None, typer.Option(help="Guidance by words.")] = None,
    library: Annotated[bool | None, typer.Option(help="Whether a recording may lend its timbre.")] = None,
    seeds: Annotated[int, typer.Option(help="So many sounds for each prompt.")] = 1,
    device: str = "auto",
) -> None:
    """Print the figures as JSON."""
    video = probe(clip)
    files = networks.find({"aisfx": aisfx} if aisfx else {})
    if "aisfx" not in files:
        raise FoleyError("aisfx's weights are not here", f"Get them: {networks.how_to_get('aisfx')}")
    options = {"steps": steps, "guidance": guidance, "words_guidance": words_guidance, "library": library}
    given = {name: value for name, value in options.items() if value is not None}
    settings = resolve_settings(overrides=given, model_defaults=default_settings(model))
    loaded = load_model(resolve(model), device)
    embedder = networks.load({"aisfx": files["aisfx"]}, loaded.device).embedders["aisfx"]
    result = measure(loaded, video, settings, Bank(embedder, read_recordings(sounds)), sounds, seeds)
    confused = Counter((one.family, one.by_all) for one in result.sounds if one.family != one.by_all)
    taken_for = {f"{family} for {other}": n for (family, other), n in confused.most_common()}
    typer.echo(json.dumps({**asdict(result), "confused_by_all": taken_for}, indent=2))


if __name__ == "__main__":
    typer.run(main)
