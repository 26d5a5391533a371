"""How loud a result is to be: a specification by its name, or a number of LUFS."""

from __future__ import annotations

from dataclasses import dataclass, replace

CEILING_DBTP = -1.0  # no result peaks above this, whatever its loudness


@dataclass(frozen=True)
class LoudnessTarget:
    """The integrated loudness of a programme (ITU-R BS.1770), and the true peak that it may have."""

    lufs: float | None  # None: as it comes
    ceiling_dbtp: float = CEILING_DBTP


# EBU R 128; ATSC A/85; Netflix Sound Mix Specifications.  Where one of them measures dialogue alone, the whole sound is
# measured here: there is no dialogue in effects.
SPECIFICATIONS = {
    "r128": LoudnessTarget(-23.0, -1.0),
    "atsc": LoudnessTarget(-24.0, -2.0),
    "netflix": LoudnessTarget(-27.0, -2.0),
}


def mix_target(setting: float | str | None, per: str) -> LoudnessTarget:
    """What is asked of the mix: only a ceiling where the loudness is of cues or stems."""
    target = loudness_target(setting)
    return target if per == "mix" else replace(target, lufs=None)


def loudness_target(setting: float | str | None) -> LoudnessTarget:
    """What the setting `loudness_lufs` asks for."""
    return SPECIFICATIONS[setting] if isinstance(setting, str) else LoudnessTarget(setting)
