"""Solid worlds: simulated by Bullet, drawn in three dimensions by Panda3D's software renderer.  Scene kinds by name."""

from __future__ import annotations

from foleycli.synthetic.solid.impacts import solid_collide, solid_drop, solid_stack
from foleycli.synthetic.solid.rolling import solid_roll
from foleycli.synthetic.solid.scene import SolidBuilder
from foleycli.synthetic.solid.strikes import solid_strike
from foleycli.synthetic.solid.walking import solid_walk

# name: (builder, weight)
SOLID_SCENES: dict[str, tuple[SolidBuilder, float]] = {
    "solid_drop": (solid_drop, 12),
    "solid_collide": (solid_collide, 8),
    "solid_strike": (solid_strike, 24),
    "solid_roll": (solid_roll, 5),
    "solid_walk": (solid_walk, 9),
    "solid_stack": (solid_stack, 5),
}
SOLID_HELD_OUT = frozenset({"solid_stack"})  # never in the split "train"

__all__ = ["SOLID_HELD_OUT", "SOLID_SCENES", "SolidBuilder"]
