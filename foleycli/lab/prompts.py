"""Does a model follow the prompt?  20 prompts on one clip, each result classified by the nearest recordings.

    python -m foleycli.lab prompts CLIP --sounds SOUNDS --aisfx aisfx-0.1.2-py2.py3-none-any.whl

A prompt is the main label of a kind of recorded sound (`foleycli/soundset/kinds.py`).  aisfx embeds generated and
recorded sounds; the nearest family is the one whose three nearest recordings have the highest mean cosine.  Chance is
1 in 20.  The neighbours are, in turn, recordings that nothing was trained on ("held_out", 2 to 9 a family), up to 24
recordings of each family ("all"), and those of them that are of no series ("hit wood 1", "hit wood 2") in the shipped
library ("outside_library").

aisfx was trained on single effects, and nearly all recordings are single; a generated sound is a row of them.  So each
result is embedded twice: whole, and cut at its onsets, as the mean of its hits ("by_hits").  A continuous sound, such
as rain, stays whole.

Two upper bounds show how far the classifier itself can go: held-out recordings, each left out of its neighbours, alone
or with its whole series, as they are and after the model's codec ("ceiling"); and recordings of each family placed at
the moments that the encoder predicts for this clip, as in the synthetic worlds ("placed").
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter, defaultdict
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
from foleycli.library.library import origin_files
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
from foleycli.synthetic.config import Event, Track
from foleycli.synthetic.sound import mix_of
from foleycli.timebase import FEATURE_FPS
from foleycli.windows.compose import decode_chunks

# Different materials and actions, each with two or more held-out recordings in the sound set.  Of families whose
# recordings aisfx confuses with one another when a series is left out (metal and sword, wood and chop, water and rain,
# the soft grounds) one represents all.
CHOSEN = (
    "wood", "metal", "stone", "thud", "knife", "hand drum", "click", "gun", "explosion", "door",
    "step tile", "step gravel", "water", "fire", "wind", "bird", "man", "engine", "scrape", "nature",
)  # fmt: skip

STRENGTH, N_DRAWS = 0.8, 3  # of placed recordings' hits, and how often takes of a family are drawn
LEAD_S, HIT_S, MIN_HIT_S = 0.05, 2.3, 0.1  # of a hit embedded by itself: aisfx takes blocks of 2.3 s
QUIET = 1e-3  # full scale is 1: a hit with a lower peak is left out
PAUSE_DB = 26.0  # below the loudest moment; by trial: water, fire, wind, engine within 22, guns and explosions 30
NEIGHBOURS = (
    "by_held_out",
    "by_all",
    "by_outside_library",
    "by_hits",
    "by_hits_outside_library",
)  # fields of `Classified`


@dataclass(frozen=True)
class Recording:
    """A recorded sound of one family and of no other."""

    family: str
    file: str
    series: str  # recordings of one series are of the same thing on the same day
    is_in_library: bool  # the shipped library has a sound of its series
    samples: np.ndarray  # float32 [N] at RATE_HZ

    @property
    def is_held_out(self) -> bool:
        return is_held_out(self.file)


@dataclass(frozen=True)
class Classified:
    """The family that a generated sound was classified as, by each set of neighbours."""

    prompt: str
    family: str  # the right one
    seed: int
    by_held_out: str
    by_all: str
    by_outside_library: str
    by_hits: str  # as `by_all`, hit by hit
    by_hits_outside_library: str


@dataclass(frozen=True)
class Ceiling:
    """Share of the held-out recordings that get their own family, mean over families, by each set of neighbours."""

    held_out: float
    all: float
    all_of_other_series: float


@dataclass(frozen=True)
class PlacedRecordings:
    """Share of recordings placed at the clip's moments that get their own family of all but their own series."""

    as_they_are: float
    after_codec: float
    by_hits: float
    by_hits_after_codec: float


@dataclass(frozen=True)
class Result:
    """All figures; accuracies are shares of generated sounds whose nearest family is the prompt's."""

    model: str
    clip: str
    settings: Settings  # but for prompt and seed
    accuracy_by_held_out: float
    accuracy_by_all: float
    accuracy_by_outside_library: float
    accuracy_by_hits: float
    accuracy_by_hits_outside_library: float
    ceiling: Ceiling
    ceiling_after_codec: Ceiling
    placed: PlacedRecordings | None  # None: the encoder predicts no moments for the clip
    recordings: int
    recordings_held_out: int
    sounds: list[Classified]


class References:
    """Embedded recordings, and the sets of neighbours made of them."""

    def __init__(self, embedder: AudioEmbedder, recordings: Sequence[Recording]) -> None:
        self.embedder, self.recordings = embedder, recordings
        vectors = np.stack([self.vector(one.samples) for one in recordings])  # [n, D]
        held_out_rows = [row for row, one in enumerate(recordings) if one.is_held_out]
        self.held_out_recordings = [recordings[row] for row in held_out_rows]
        self.all = NearestNeighbours([one.family for one in recordings], vectors)
        held_out_families = [one.family for one in self.held_out_recordings]
        self.held_out = NearestNeighbours(held_out_families, vectors[held_out_rows])
        self.library_rows = [row for row, one in enumerate(recordings) if one.is_in_library]

    def rows_of_series(self, series: str) -> list[int]:
        """The rows of `all` that are of one series."""
        return [row for row, one in enumerate(self.recordings) if one.series == series]

    def vector(self, samples: np.ndarray, rate_hz: int = RATE_HZ) -> np.ndarray:
        """A sound [N] as one vector [D]."""
        return pooled(self.embedder.embed(resample(samples[None], rate_hz, self.embedder.rate_hz)[0]))

    def vector_by_hits(self, samples: np.ndarray, rate_hz: int = RATE_HZ) -> np.ndarray:
        """A sound [N] as the mean of its hits' vectors, [D]; a continuous one as a whole."""
        hits = [] if is_continuous(samples, rate_hz) else cut_at_onsets(samples, rate_hz, LEAD_S, HIT_S)
        loud = [hit for hit in hits if len(hit) > MIN_HIT_S * rate_hz and np.abs(hit).max() > QUIET]
        mean = np.mean([self.vector(hit, rate_hz) for hit in loud or [samples]], axis=0)
        return mean / max(float(np.linalg.norm(mean)), 1e-9)

    def classify(self, samples: np.ndarray) -> dict[str, str]:
        """The family of a sound [N] at RATE_HZ by each of NEIGHBOURS."""
        whole, by_hits = self.vector(samples), self.vector_by_hits(samples)
        return {
            "by_held_out": self.held_out.classify(whole),
            "by_all": self.all.classify(whole),
            "by_outside_library": self.all.classify(whole, exclude=self.library_rows),
            "by_hits": self.all.classify(by_hits),
            "by_hits_outside_library": self.all.classify(by_hits, exclude=self.library_rows),
        }

    def ceiling(self, vectors: Sequence[np.ndarray]) -> Ceiling:
        """`vectors` are those of the held-out recordings, as they are or changed."""
        rows = {one.file: row for row, one in enumerate(self.recordings)}
        is_right: dict[str, list[tuple[bool, bool, bool]]] = defaultdict(list)
        for row, (one, vector) in enumerate(zip(self.held_out_recordings, vectors, strict=True)):
            is_right[one.family].append((
                self.held_out.classify(vector, exclude=[row]) == one.family,
                self.all.classify(vector, exclude=[rows[one.file]]) == one.family,
                self.all.classify(vector, exclude=self.rows_of_series(one.series)) == one.family,
            ))  # fmt: skip
        shares = np.mean([np.mean(of_family, axis=0) for of_family in is_right.values()], axis=0)  # [3]
        return Ceiling(held_out=float(shares[0]), all=float(shares[1]), all_of_other_series=float(shares[2]))


def is_continuous(samples: np.ndarray, rate_hz: int) -> bool:
    """Whether a sound [N] hardly ever pauses: three quarters of the time it is not far below its loudest."""
    levels_db = loudness_envelope(samples, rate_hz)
    return bool(levels_db.max() - np.percentile(levels_db, 25) < PAUSE_DB)


def read_recordings(folder: Path, families: Sequence[str] = CHOSEN) -> list[Recording]:
    """Up to MAX_PER_LABEL recordings a family, all held-out ones among them; errors: FoleyError where one has none."""
    patterns = {name: re.compile(SOUND_KINDS[name].pattern) for name in families}
    listed: dict[str, list[tuple[str, str]]] = {name: [] for name in families}
    listed_sounds, origins = sorted(list_sounds(folder), key=lambda one: one.file), origin_files()
    library_series = {one.key for one in listed_sounds if one.file in origins}
    for one in listed_sounds:
        matching = [name for name, pattern in patterns.items() if pattern.search(one.key)]
        if len(matching) == 1:
            listed[matching[0]].append((one.file, one.key))
    recordings = []
    for family, of_family in listed.items():
        held_out = [one for one in of_family if is_held_out(one[0])]
        if len(held_out) < 2:
            raise FoleyError(
                f"{folder} has {len(held_out)} held-out recordings of {family!r}, not two",
                "Give the set of sounds that the shipped models were trained with (foleycli/shipped/SOUNDS.md)",
            )
        others = [one for one in of_family if not is_held_out(one[0])]
        n_others = max(0, min(MAX_PER_LABEL - len(held_out), len(others)))
        spread = [others[k * len(others) // n_others] for k in range(n_others)]  # not all of one series
        for file, series in (*held_out, *spread):
            samples = read_audio(folder / file, RATE_HZ, 1, duration_s=MAX_S).samples[0]
            recordings.append(
                Recording(
                    family=family, file=file, series=series, is_in_library=series in library_series, samples=samples
                )
            )
    return recordings


@torch.inference_mode()
def through_codec(samples: np.ndarray, model: Model) -> np.ndarray:
    """Mono [N] at RATE_HZ encoded and decoded by the model's codec, [N'] at the codec's rate."""
    latents = encode_audio(resample(samples[None], RATE_HZ, model.codec.rate_hz)[0], model)
    return torch.cat(list(decode_chunks(model.codec, latents.to(model.device)))).float().cpu().numpy()


def measure_placed(model: Model, video: Video, references: References, sounds: Path) -> PlacedRecordings | None:
    """Recordings of every family placed at the moments that the encoder predicts; textures go on throughout.

    None where it predicts none.
    """
    events_s = model.sync.events_s(extract_stream(video.path, model.sync))
    if not events_s:
        return None
    takes, is_right = SoundBank(sounds, only_recorded=True), []
    for family in references.all.labels:
        track = Track(
            duration_s=video.duration_s,
            fps=int(FEATURE_FPS),
            split="train",
            mode="texture" if SOUND_KINDS[family].shape == "loop" else "hits",
            sound_kinds=(family,),
            events=tuple(Event(time_s, STRENGTH, family) for time_s in events_s),
            scene="placed",
        )
        for draw in range(N_DRAWS):
            mix = mix_of(track, takes, np.random.default_rng(draw))
            series = {take.group for take in mix.source.takes} if mix.source else set()
            exclude = [row for one in series for row in references.rows_of_series(one)]
            coded, coded_rate_hz = through_codec(mix.samples, model), model.codec.rate_hz
            vectors = (
                references.vector(mix.samples),
                references.vector(coded, coded_rate_hz),
                references.vector_by_hits(mix.samples),
                references.vector_by_hits(coded, coded_rate_hz),
            )
            is_right.append([references.all.classify(vector, exclude=exclude) == family for vector in vectors])
    as_they_are, after_codec, by_hits, by_hits_after_codec = (float(share) for share in np.mean(is_right, axis=0))
    return PlacedRecordings(as_they_are, after_codec, by_hits, by_hits_after_codec)


def measure(
    model: Model, video: Video, settings: Settings, references: References, sounds: Path, n_seeds: int
) -> Result:
    """Render every prompt and classify what came out."""
    placed = measure_placed(model, video, references, sounds)
    classified = []
    for family in references.all.labels:
        for seed in range(settings.seed, settings.seed + n_seeds):
            prompt = SOUND_KINDS[family].labels[0]
            sound = render_samples(model, video, replace(settings, prompt=prompt, seed=seed))
            classified.append(Classified(prompt, family, seed, **references.classify(sound)))
    held_out = references.held_out_recordings
    coded = [references.vector(through_codec(one.samples, model), model.codec.rate_hz) for one in held_out]
    return Result(
        model=model.name,
        clip=video.path.name,
        settings=settings,
        **{f"accuracy_{name}": accuracy(classified, name) for name in NEIGHBOURS},
        ceiling=references.ceiling(list(references.held_out.vectors)),
        ceiling_after_codec=references.ceiling(coded),
        placed=placed,
        recordings=len(references.recordings),
        recordings_held_out=len(held_out),
        sounds=classified,
    )


def accuracy(classified: Sequence[Classified], neighbours: str) -> float:
    """Share of the sounds that got their own family by these neighbours."""
    return float(np.mean([getattr(one, neighbours) == one.family for one in classified]))


def confusions(classified: Sequence[Classified]) -> dict[str, int]:
    """How often each wrong family was nearest among all recordings, most often first."""
    wrong = Counter((one.family, one.by_all) for one in classified if one.family != one.by_all)
    return {f"{family} for {other}": n for (family, other), n in wrong.most_common()}


def render_samples(model: Model, video: Video, settings: Settings) -> np.ndarray:
    """What `foley render` writes, mono [N] at RATE_HZ."""
    with tempfile.TemporaryDirectory(prefix="foley-prompts-") as folder:
        out = Path(folder) / "made.wav"
        RenderJob(video, out, settings).run(model)
        return read_audio(out, RATE_HZ, 1).samples[0]


def main(
    clip: Annotated[Path, typer.Argument(help="The video that all prompts are rendered for.")],
    sounds: Annotated[Path, typer.Option(help="The labelled sounds that the shipped models were trained on.")],
    aisfx: Annotated[Path | None, typer.Option(help="aisfx's wheel or weights.")] = None,
    model: Annotated[str, typer.Option(help="Name or folder.")] = "salsav-mini",
    steps: Annotated[int | None, typer.Option(help="Sampler steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance by the picture.")] = None,
    words_guidance: Annotated[float | None, typer.Option(help="Guidance by words.")] = None,
    library: Annotated[bool | None, typer.Option(help="Whether the library gives a reference for the prompt.")] = None,
    seeds: Annotated[int, typer.Option(help="How many sounds for each prompt.")] = 1,
    device: str = "auto",
) -> None:
    """Print the figures as JSON."""
    video = probe(clip)
    files = networks.find({"aisfx": aisfx} if aisfx else {})
    if "aisfx" not in files:
        raise FoleyError("aisfx's weights are not here", f"Get them: {networks.how_to_get('aisfx')}")
    recordings = read_recordings(sounds)
    options = {"steps": steps, "guidance": guidance, "words_guidance": words_guidance, "library": library}
    given = {name: value for name, value in options.items() if value is not None}
    settings = resolve_settings(overrides=given, model_defaults=default_settings(model))
    loaded = load_model(resolve(model), device)
    embedder = networks.load({"aisfx": files["aisfx"]}, loaded.device).embedders["aisfx"]
    references = References(embedder, recordings)
    result = measure(loaded, video, settings, references, sounds=sounds, n_seeds=seeds)
    typer.echo(json.dumps({**asdict(result), "confused_by_all": confusions(result.sounds)}, indent=2))
