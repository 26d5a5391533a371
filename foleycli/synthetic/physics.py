"""Trajectories on a 200 Hz grid: when things happen and how heights, angles and speeds run between."""

from __future__ import annotations

import numpy as np

from foleycli.synthetic.config import GRID_HZ

MIN_GAP_S = 0.18


def grid(duration_s: float, rate_hz: int = GRID_HZ) -> np.ndarray:
    """Times in s, float64 [n]."""
    return np.arange(round(duration_s * rate_hz) + 1) / rate_hz


def event_times(
    rng: np.random.Generator, duration_s: float, rate_range: tuple[float, float] = (0.4, 2.5)
) -> np.ndarray:
    """Mostly sparse irregular times, sometimes a rhythm; never two closer than MIN_GAP_S."""
    rate = np.exp(rng.uniform(*np.log(rate_range)))
    t = rng.uniform(0.15, min(1.5, duration_s * 0.4))
    jitter = rng.choice([0.03, 0.5, 0.9], p=[0.25, 0.35, 0.4])
    times = []
    while t < duration_s - 0.1:
        times.append(t)
        t += max(MIN_GAP_S, (1 + jitter * rng.uniform(-1, 1.3)) / rate)
    return np.array(times)


def strengths(rng: np.random.Generator, n: int) -> np.ndarray:
    """Strengths of `n` events, mostly alike within a clip, 0.1..1."""
    return np.clip(rng.uniform(0.45, 1.0) * np.exp(rng.normal(0, 0.25, n)), 0.12, 1.0)


def smooth_noise(rng: np.random.Generator, t: np.ndarray, rate_hz: float) -> np.ndarray:
    """A wandering curve in about -1..1 with `rate_hz` turns per second, [n]."""
    n_knots = int(t[-1] * rate_hz) + 5
    knots = rng.normal(0, 0.5, n_knots)
    position = t * rate_hz + 1
    k = position.astype(int)
    f = position - k
    f = f * f * (3 - 2 * f)
    return knots[k] * (1 - f) + knots[k + 1] * f


def strike_height(
    rng: np.random.Generator, t: np.ndarray, times: np.ndarray, force: np.ndarray, misses: np.ndarray
) -> np.ndarray:
    """Height of a striking tip over its target, 0 only at contacts (and while resting there), [n].

    Between contacts: rebound or rest, a lift (often faster than the strike; it makes no sound), hovering and
    gestures, the accelerating strike.  At `misses` the tip slows down and turns before it touches.
    """
    knots = [(x, f, True) for x, f in zip(times, force, strict=True)] + [(x, 1.0, False) for x in misses]
    hover = rng.choice([0.06, 0.15, 0.3]) * smooth_noise(rng, t, rng.uniform(0.8, 4))
    height = np.maximum(rng.uniform(0.5, 1.0) + hover, 0.2)
    rests = rng.random() < 0.35  # an axe sticks, a stick springs back
    placed = rng.uniform(0.2, 0.8) if rng.random() < 0.4 else 0.0  # slows down before it touches, as a knife does
    previous_s, low = -0.5, -1.0
    for time_s, f, touches in sorted(knots):
        raised = (0.35 + 0.65 * f) * rng.uniform(0.8, 1.1)
        gap = time_s - previous_s
        strike_s = min(0.45 * gap, rng.uniform(0.07, 0.22))
        lift_s = min(0.45 * gap, rng.choice([rng.uniform(0.06, 0.14), rng.uniform(0.15, 0.6)]))
        if low >= 0:
            dwell_s = rng.uniform(0, 1) * min(0.6, gap - strike_s - lift_s)
            _raise(
                t=t,
                height=height,
                hover=hover,
                when=(previous_s, dwell_s if rests else 0.0, lift_s),
                low=low,
                raised=raised,
                rests=rests,
            )
        low = 0.0 if touches else rng.uniform(0.25, 0.45) * raised
        go = (t >= time_s - strike_s) & (t <= time_s)
        top = height[max(0, np.searchsorted(t, time_s - strike_s) - 1)]
        u = (t[go] - (time_s - strike_s)) / strike_s
        turning = (1 + np.cos(np.pi * u)) / 2  # arrives without speed
        curve = placed * turning + (1 - placed) * (1 - u ** rng.uniform(1.8, 3.0)) if touches else turning
        height[go] = low + (top - low) * curve
        previous_s = time_s
    if low >= 0:
        _raise(
            t=t,
            height=height,
            hover=hover,
            when=(previous_s, 0.3 if rests else 0.0, 0.3),
            low=low,
            raised=0.7,
            rests=rests,
        )
    return np.maximum(height, 0)


def _raise(
    t: np.ndarray,
    height: np.ndarray,
    hover: np.ndarray,
    *,
    when: tuple[float, float, float],
    low: float,
    raised: float,
    rests: bool,
) -> None:
    """Fill all that comes after a contact (start, dwell, lift in s): stay, then smooth; or spring back at once."""
    from_s, dwell_s, lift_s = when
    after = t > from_s
    u = np.clip((t[after] - from_s - dwell_s) / lift_s, 0, 1)
    s = u * u * (3 - 2 * u) if rests else 1 - (1 - u) ** 2
    height[after] = low + np.maximum(raised + hover[after] - low, 0.15) * s


def bounces(
    rng: np.random.Generator, t: np.ndarray, restitution: float, gravity: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A ball let fall again and again: height [n], bounce times [e], their relative speeds [e]."""
    height = np.full_like(t, 5.0)
    times: list[float] = []
    speeds: list[float] = []
    start_s = rng.uniform(0, 0.8)
    while start_s < t[-1]:
        top = rng.uniform(0.7, 1.4)
        contact_s, speed = start_s + np.sqrt(2 * top / gravity), np.sqrt(2 * top * gravity)
        fall = (t >= start_s) & (t <= contact_s)
        height[fall] = top - gravity / 2 * (t[fall] - start_s) ** 2
        full = np.sqrt(2 * 1.4 * gravity)
        while True:
            times.append(contact_s)
            speeds.append(speed / full)
            speed *= restitution
            flight_s = 2 * speed / gravity
            if flight_s < MIN_GAP_S or contact_s > t[-1]:
                break
            air = (t > contact_s) & (t <= contact_s + flight_s)
            u = t[air] - contact_s
            height[air] = speed * u - gravity / 2 * u**2
            contact_s += flight_s
        rest_s = rng.uniform(0.2, 0.8)
        height[(t > contact_s) & (t <= contact_s + rest_s)] = 0.0
        lift_s = rng.uniform(0.15, 0.5)
        lift = (t > contact_s + rest_s) & (t <= contact_s + rest_s + lift_s)
        start_s = contact_s + rest_s + lift_s
        height[lift] = 5.0 * ((t[lift] - contact_s - rest_s) / lift_s) ** 2  # carried off, in silence
    keep = np.array(times) < t[-1] - 0.02
    return np.maximum(height, 0), np.array(times)[keep], np.array(speeds)[keep]


def decays(t: np.ndarray, times: np.ndarray, sizes: np.ndarray, tau_s: float, rise_s: float = 0.01) -> np.ndarray:
    """Sum of pulses that rise in `rise_s` from each time and die away with `tau_s`, [n]."""
    out = np.zeros_like(t)
    for time_s, size in zip(times, sizes, strict=True):
        u = t - time_s
        on = u > 0
        out[on] += size * np.minimum(1, u[on] / rise_s) * np.exp(-u[on] / tau_s)
    return out
