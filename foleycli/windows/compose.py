"""Windows in, one latent track (or several takes of it) out: window by window, each continuing the one before.

Known steps (`known`, `is_known` in the samplers) are latents that are there already and condition the rest: what the
window before generated, and what the caller gives as `context`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from foleycli.codecs.base import Codec
from foleycli.device import generator
from foleycli.families.base import Family
from foleycli.records import Features, Report, Stream, Window, silent
from foleycli.settings.settings import Settings

STAGE = "sampler"
PADDED_PARTS = 16  # of the longest window: the length of one that is sampled beside others is a whole number of them
AT_ONCE = 8  # windows of all takes that are sampled in one batch, at most: memory
LOOK_AHEAD = 64  # windows, among which those of a batch are found


def compose(
    family: Family,
    features: Features,
    windows: Sequence[Window],
    settings: Settings,
    seeds: Sequence[int],
    *,
    context: Tensor,
    context_mask: Tensor,
    reference: Tensor | None = None,
    report: Report = silent,
) -> Tensor:
    """The latents of the whole clip for each of B seeds, all takes of a window in one batch: float32 [B, L, D].

    Each take continues its own windows, with the noise that its seed alone would give.  Windows of different shots that
    are equally long share a batch too, see `in_batches`.

    context, context_mask   float32 [L, D] and bool [L]: steps that are known, anywhere; they come back bit for bit
    reference               latents [R, D] of another sound whose timbre is matched: they are known steps before every
                            window for which the plan leaves room, a shot's first or all, and are cut off again
    """
    tracks = torch.where(context_mask[:, None], context, torch.zeros_like(context)).repeat(len(seeds), 1, 1)
    is_known = context_mask.clone()
    n_done = 0
    for together in in_batches(windows, max(1, AT_ONCE // len(seeds))):
        report(STAGE, n_done, len(windows))

        def within(stage: str, done: float, n: float, n_done: int = n_done, size: int = len(together)) -> None:
            report(STAGE, n_done + size * done / (n or 1), len(windows))

        n_done += len(together)
        batch = [window for window in together if not bool(is_known[window.start_step : window.end_step].all())]
        if not batch:
            continue
        before = reference[: batch[0].n_reference] if reference is not None else tracks[0, :0]  # [R, D]
        rows, known, masks = _rows_of(batch, features, family.spec.latent_rate_hz, before, tracks, is_known)
        sampled = family.sample(
            features=rows,
            known=known,
            is_known=masks,
            settings=settings,
            # The noise belongs to the window's place on the track: the same clip, the same noise.
            rngs=[generator(seed, "window", window.start_step) for window in batch for seed in seeds],
            report=within,
        )
        for k, window in enumerate(batch):
            piece = slice(window.start_step, window.end_step)
            new = sampled[k * len(seeds) : (k + 1) * len(seeds), len(before) :]  # [B, L of the window, D]
            tracks[:, piece] = torch.where(is_known[piece, None], tracks[:, piece], new)
            is_known[piece] = True
    report(STAGE, len(windows), len(windows))
    return tracks


def in_batches(windows: Sequence[Window], at_once: int) -> Iterator[list[Window]]:
    """Windows in batches of up to `at_once`, each after all that stand before it in `windows` and overlap with it.

    Those of a batch are equally long, and none needs what another makes: they belong to different shots.
    """
    waiting = list(windows)
    while waiting:
        ready, end = [], 0  # of all that wait before
        for window in waiting[: 1 if at_once == 1 else LOOK_AHEAD]:
            if window.start_step >= end:
                ready.append(window)
            end = max(end, window.end_step)
        shape = ready[0].n_steps, ready[0].n_reference
        batch = [window for window in ready if (window.n_steps, window.n_reference) == shape][:at_once]
        yield batch
        waiting[:LOOK_AHEAD] = [window for window in waiting[:LOOK_AHEAD] if window not in batch]


def _rows_of(
    windows: Sequence[Window], features: Features, rate_hz: Fraction, before: Tensor, tracks: Tensor, is_known: Tensor
) -> tuple[list[Features], Tensor, Tensor]:
    """Features, latents [W * B, R + L, D] and what of them is known of equally long windows of tracks [B, *, D], window
    by window and track by track; `before` [R, D] are known steps that stand before each."""
    n_tracks = len(tracks)
    repeated, mask_before = before.expand(n_tracks, -1, -1), torch.ones(len(before), dtype=torch.bool)
    rows, known, masks = [], [], []
    for window in windows:
        piece = slice(window.start_step, window.end_step)
        cut = cut_features(features, window.start_step / rate_hz, window.n_steps / rate_hz, len(before) / rate_hz)
        rows += [cut] * n_tracks
        known.append(torch.cat([repeated, tracks[:, piece]], dim=1))
        masks.append(torch.cat([mask_before, is_known[piece]]).repeat(n_tracks, 1))
    return rows, torch.cat(known), torch.cat(masks)


@dataclass(frozen=True)
class Track:
    """One latent track of several that are composed beside one another."""

    features: Features
    windows: Sequence[Window]
    n_steps: int
    seed: int
    reference: Tensor | None = None  # latents [R, D] of a sound whose timbre is matched


def compose_together(
    family: Family, tracks: Sequence[Track], settings: Settings, *, at_once: int, report: Report = silent
) -> list[Tensor]:
    """The latents of several tracks, float32 [L, D] each; those of their windows that can be are sampled in one batch.

    A window may be sampled with a few steps more than it has, which are dropped: so that most have one length.

    settings   of the sampler, the same for all; words and seeds are the tracks' own
    at_once    windows of a batch, at most
    """
    made = [torch.zeros(track.n_steps, family.spec.latent_dim) for track in tracks]
    turns, n_windows, n_done = [0] * len(tracks), sum(len(track.windows) for track in tracks), 0
    unit = max(1, family.spec.window_steps // PADDED_PARTS)
    while waiting := [k for k, track in enumerate(tracks) if turns[k] < len(track.windows)]:
        by_length: dict[int, list[int]] = {}
        for k in waiting:
            window = tracks[k].windows[turns[k]]
            n_steps = min(-(-(_n_before(tracks[k], window) + window.n_steps) // unit) * unit, family.spec.window_steps)
            by_length.setdefault(n_steps, []).append(k)
        batches = [
            (n_steps, members[first : first + at_once])
            for n_steps, members in by_length.items()
            for first in range(0, len(members), at_once)
        ]
        for n_steps, members in batches:
            report(STAGE, n_done, n_windows)
            windows = [tracks[k].windows[turns[k]] for k in members]
            inputs = [
                _inputs(family, tracks[k], window, made[k], n_steps) for k, window in zip(members, windows, strict=True)
            ]
            sampled = family.sample(
                features=[features for features, _, _ in inputs],
                known=torch.stack([known for _, known, _ in inputs]),
                is_known=torch.stack([is_known for _, _, is_known in inputs]),
                settings=settings,
                rngs=[
                    generator(tracks[k].seed, "window", window.start_step)
                    for k, window in zip(members, windows, strict=True)
                ],
            )
            for k, window, new in zip(members, windows, sampled, strict=True):
                first = _n_before(tracks[k], window) + window.n_context
                made[k][window.start_step + window.n_context : window.end_step] = new[
                    first : first + window.n_steps - window.n_context
                ]
                turns[k] += 1
            n_done += len(members)
    report(STAGE, n_windows, n_windows)
    return made


def _n_before(track: Track, window: Window) -> int:
    """Steps of the reference that stand before a window."""
    return 0 if track.reference is None else min(len(track.reference), window.n_reference)


def _inputs(
    family: Family, track: Track, window: Window, made: Tensor, n_steps: int
) -> tuple[Features, Tensor, Tensor]:
    """A window's features, its known latents [n_steps, D] and where they are known, bool [n_steps]."""
    n_before, rate_hz = _n_before(track, window), family.spec.latent_rate_hz
    known, is_known = torch.zeros(n_steps, made.shape[1]), torch.zeros(n_steps, dtype=torch.bool)
    if track.reference is not None:
        known[:n_before] = track.reference[:n_before]
    n_known = n_before + window.n_context
    known[n_before:n_known] = made[window.start_step : window.start_step + window.n_context]
    is_known[:n_known] = True
    duration_s = (n_steps - n_before) / rate_hz
    return cut_features(track.features, window.start_step / rate_hz, duration_s, n_before / rate_hz), known, is_known


def cut_features(features: Features, start_s: Fraction, duration_s: Fraction, held_s: Fraction) -> Features:
    """The streams of a window; for `held_s` before it, over a reference, its first step is repeated, as in training.

    What comes before a shot is another picture and is never read; after the end the last step is held.
    Steps stay on the video's own grid: `late_s` says how much later than the window they begin.
    """
    streams = {name: _cut(stream, start_s, duration_s, held_s) for name, stream in features.streams.items()}
    return replace(features, streams=streams)


def _cut(stream: Stream, start_s: Fraction, duration_s: Fraction, held_s: Fraction) -> Stream:
    first = min(round(start_s * stream.rate_hz), len(stream.values) - 1)
    n_held = round(held_s * stream.rate_hz)
    n_steps = max(1, math.ceil((held_s + duration_s) * stream.rate_hz))
    index = torch.arange(first - n_held, first - n_held + n_steps).clamp(first, len(stream.values) - 1)
    late_s = (held_s - start_s) + (first - n_held) / stream.rate_hz
    return Stream(stream.values[index], stream.rate_hz, float(late_s))


def decode_chunks(codec: Codec, track: Tensor, chunk_steps: int = 430) -> Iterator[Tensor]:
    """The sound of a latent track [L, D] piece by piece, float32 [n]; pieces join without a seam.

    Each piece is decoded with the codec's context on both sides, which is cut off again: the result is what decoding at
    once would give, in memory that does not grow with the track.  For codecs with attention no context is enough: over
    their `blend_steps` each piece is faded into the next.
    """
    margin, blend, hop = codec.context_steps, codec.blend_steps, codec.hop
    fading: Tensor | None = None  # [blend * hop]: how the piece before continues
    for start in range(0, len(track), chunk_steps):
        end = min(start + chunk_steps, len(track))
        first, last = max(0, start - margin), min(len(track), end + blend + margin)
        samples = codec.decode(track[None, first:last], start_step=first)[0, (start - first) * hop :]
        if fading is not None:
            n = min(len(fading), len(samples))
            rise = torch.linspace(0.0, 1.0, n, device=samples.device)
            samples = torch.cat([fading[:n].lerp(samples[:n], rise), samples[n:]])
        piece = (end - start) * hop
        fading = samples[piece : piece + blend * hop] if blend else None
        yield samples[:piece]
