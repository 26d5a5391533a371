"""How long a render takes, in one table: figures that `foley bench` measured, and the estimate from them.

Imports no torch.  `foley bench` prints a new line for this table at its end.
"""

from __future__ import annotations

from dataclasses import dataclass

TAKES_AT_ONCE = 8  # `foley render --takes` samples them in batches: memory


@dataclass(frozen=True)
class Speed:
    """What a model costs on one kind of device: seconds per second of video, unless said."""

    load_s: float  # once per call: imports and weights
    picture: float  # decoding the picture and watching it, and writing the result
    per_step: float  # one sampler step
    codec: float  # latents to sound
    memory_mb: float  # peak, whole process; does not grow with the video
    take_mb: float | None = None  # what each further take of one batch adds to it; None: not measured


# By family and width of the network, then by torch's device type.  What is not here was never measured: no estimate.
SPEEDS: dict[tuple[str, int | None], dict[str, Speed]] = {
    ("salsa-v", 256): {
        # 60 s of 720p, one thread of an idle Zen 5; the step is float32's, in bfloat16 it takes half as long.
        # take_mb: peak of 8 takes of the 7 s demo at 4 steps against that of one, 809 to 706 MB, a seventh of it.
        "cpu": Speed(load_s=1.6, picture=0.055, per_step=0.0081, codec=0.022, memory_mb=960.0, take_mb=15.0)
    },
}


def measured(family: str, width: int | None, device: str) -> Speed | None:
    """The table's line, if there is one."""
    return SPEEDS.get((family, width), {}).get(device)


def estimate(speed: Speed, duration_s: float, steps: int, takes: int = 1) -> float:
    """Expected seconds of work for one video; its pictures are watched once for all takes."""
    return speed.load_s + duration_s * (speed.picture + takes * (steps * speed.per_step + speed.codec))


def peak_mb(speed: Speed, takes: int = 1) -> float | None:
    """Expected peak memory of so many takes, TAKES_AT_ONCE of which are generated together; None: not measured."""
    further = min(takes, TAKES_AT_ONCE) - 1
    if further and speed.take_mb is None:
        return None
    return speed.memory_mb + further * (speed.take_mb or 0.0)


def fit(load_s: float, rows: list[tuple[int, dict[str, float], float]], memory_mb: float) -> Speed:
    """The table's line for measured runs: (steps, seconds per stage, seconds of video) each."""

    def mean(*stages: str) -> float:
        costs = [sum(stage_s.get(name, 0.0) for name in stages) / video_s for _, stage_s, video_s in rows]
        return sum(costs) / len(costs)

    sampler = sorted((steps, stage_s.get("sampler", 0.0) / video_s) for steps, stage_s, video_s in rows)
    (few, short_s), (many, long_s) = sampler[0], sampler[-1]
    per_step = (long_s - short_s) / (many - few) if many > few else short_s / few
    return Speed(load_s, mean("decode", "features", "mux"), max(0.0, per_step), mean("codec"), memory_mb)
