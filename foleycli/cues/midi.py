"""Events as a Standard MIDI File, for samplers: a note an event, its velocity the event's strength.

The tempo is one quarter note a second's worth of pictures (24 pictures last 1.001 s at 23.976) and a quarter has a
thousand ticks a picture, so that every picture is a whole number of ticks and every time is exact to 50 microseconds.
A track for each sound that was seen, each at a pitch of its own.
"""

from __future__ import annotations

from fractions import Fraction

from foleycli.cues.cue import CueSheet
from foleycli.cues.times import ReelClock, nearest
from foleycli.errors import FoleyError

MOST_TICKS = 32767  # of a quarter note: 15 bits
FIRST_PITCH, N_PITCHES = 36, 60  # the lowest key of samplers' drum maps, and so many above it
NOTE_S = Fraction(1, 20)
MOST_NOTES_TICK = (1 << 28) - 1  # of one step of time


def midi_bytes(sheet: CueSheet, clock: ReelClock) -> bytes:
    """The events of the sheet's cues; hits of a cue count as events at full strength.

    Errors: FoleyError for a sheet without any.
    """
    quarter_us, ticks = tempo_of(clock.fps)
    ticks_per_s = Fraction(ticks * 1_000_000, quarter_us)
    by_sound: dict[str, list[tuple[int, int]]] = {}  # tick and velocity
    for cue in sheet.cues:
        struck = [(time_s, 1.0) for time_s in cue.hits_s or ()]
        events = struck or [(event.time_s, event.strength) for event in sheet.events.get(cue.number, ())]
        notes = by_sound.setdefault(cue.prompt or cue.name or "sound", [])
        notes += [
            (nearest(time_s * ticks_per_s), min(127, max(1, round(127 * strength)))) for time_s, strength in events
        ]
    if not any(by_sound.values()):
        raise FoleyError("no event was seen, so that there is no note to write", "Write another format, such as .csv")
    head = _meta(0x03, b"foley") + _meta(0x51, quarter_us.to_bytes(3, "big"))
    tracks = [_track(head)]
    for k, (sound, notes) in enumerate(by_sound.items()):
        pitch = FIRST_PITCH + k % N_PITCHES
        tracks.append(_track(_meta(0x03, sound.encode()) + _notes(sorted(notes), pitch, nearest(NOTE_S * ticks_per_s))))
    header = b"MThd" + (6).to_bytes(4, "big") + b"".join(n.to_bytes(2, "big") for n in (1, len(tracks), ticks))
    return header + b"".join(tracks)


def tempo_of(fps: Fraction) -> tuple[int, int]:
    """Microseconds and ticks of a quarter note; a picture is a whole number of ticks at the rates of film and video."""
    per_second = round(fps)
    if fps in (per_second, Fraction(per_second * 1000, 1001)):
        quarter_us = 1_000_000 if fps == per_second else 1_001_000
        return quarter_us, per_second * min(1000, MOST_TICKS // per_second)
    return 1_000_000, 25_000


def _notes(notes: list[tuple[int, int]], pitch: int, length: int) -> bytes:
    """Note-on and note-off messages; a note ends when the next begins."""
    out, now = b"", 0
    last = dict(notes)  # of two notes at one time the stronger
    ordered = sorted(last.items())
    for k, (tick, velocity) in enumerate(ordered):
        end = min([tick + length, *(following for following, _ in ordered[k + 1 : k + 2])])
        out += _delta(tick - now) + bytes((0x90, pitch, velocity)) + _delta(end - tick) + bytes((0x80, pitch, 0))
        now = end
    return out


def _meta(kind: int, data: bytes) -> bytes:
    """A meta event at once."""
    return b"\x00\xff" + bytes((kind,)) + _delta(len(data)) + data


def _track(events: bytes) -> bytes:
    data = events + _meta(0x2F, b"")
    return b"MTrk" + len(data).to_bytes(4, "big") + data


def _delta(n: int) -> bytes:
    """A number of variable length: seven bits a byte, the highest bit set but in the last."""
    if n > MOST_NOTES_TICK:
        raise FoleyError("an event is too late for MIDI", "Write another format, such as .csv")
    out = bytes((n & 0x7F,))
    while n := n >> 7:
        out = bytes((n & 0x7F | 0x80,)) + out
    return out
