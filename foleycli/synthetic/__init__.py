"""Synthetic worlds: endless clips with picture, sound and the exact times of what is heard.

`make_clip(seed, WorldConfig())` gives one; `training.sources` gives streams of them from worker processes.
"""

from foleycli.soundset.bank import SoundBank
from foleycli.synthetic.clips import make_clip, make_scene, scene_names
from foleycli.synthetic.config import GRID_HZ, RATE_HZ, Clip, Event, Track, WorldConfig
from foleycli.synthetic.sound import loudness_db, mix_of, sound_of

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
