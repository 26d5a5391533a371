"""Synthetic worlds: endless clips with picture, sound and the exact times of what is heard.

`make_clip(seed, WorldConfig())` gives one; `training.sources` gives streams of them from worker processes.
"""

from foleycli.training.worlds.bank import SoundBank
from foleycli.training.worlds.clips import make_clip, make_scene, scene_names
from foleycli.training.worlds.config import GRID_HZ, RATE_HZ, Clip, Event, Track, WorldConfig
from foleycli.training.worlds.sound import loudness_db, mix_of, sound_of

__all__ = [
    "GRID_HZ",
    "RATE_HZ",
    "Clip",
    "Event",
    "SoundBank",
    "Track",
    "WorldConfig",
    "loudness_db",
    "make_clip",
    "make_scene",
    "mix_of",
    "scene_names",
    "sound_of",
]
