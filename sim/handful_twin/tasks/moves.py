"""Moves that several demonstrators share, as pure functions of the situation: no clock, no phases.

Each answers what to want next, so after a slip or a push it begins where things now are.
"""

import numpy as np

from handful_twin.tasks.base import Array, Truth, Want

_ABOVE_M = 0.07  # tip over the middle of a thing before going down
_NEAR_M = 0.012  # miss, sideways and in height, with which the fingers close
_LOST_M = 0.03  # sideways miss, on the way down, that needs going up again
_BETWEEN_M = 0.02  # miss with which closed fingers have the thing between them
_STILL_M = 0.001  # change of opening in a step below which the fingers have closed on something
CARE = 0.4  # noise where a thing is set down or an edge is met


def pick(truth: Truth, before: Truth, thing: str, edge_m: float) -> Want | None:
    """Above it, down, close until the fingers stand still; None once it is held."""
    tip_m, thing_m = truth.p_BT_m, truth.p_m(thing)
    beside_m = float(np.linalg.norm((tip_m - thing_m)[:2]))
    over_m = float(tip_m[2] - thing_m[2])
    if max(beside_m, abs(over_m)) < _BETWEEN_M and truth.gripper_m < 1.4 * edge_m:
        off_table = thing_m[2] > 0.75 * edge_m
        if off_table or abs(truth.gripper_m - before.gripper_m) < _STILL_M:
            return None
        return Want(tip_m.copy(), -1.0)
    if max(beside_m, abs(over_m)) < _NEAR_M:
        return Want(thing_m.copy(), -1.0)
    on_the_way_m = _LOST_M if over_m < _ABOVE_M - _NEAR_M else _NEAR_M
    if beside_m < on_the_way_m:
        return Want(thing_m.copy(), 1.0)
    return Want(thing_m + np.array([0.0, 0.0, _ABOVE_M]), 1.0)


def carry(truth: Truth, thing: str, to_m: Array, high_m: float, near_m: float) -> Want:
    """Bring what is held over a place and lower its middle to ``to_m`` (3,) [m].

    high_m: of the tip, on the way. near_m: sideways miss with which it goes down.
    """
    tip_m, thing_m = truth.p_BT_m, truth.p_m(thing)
    aside_m = to_m[:2] - thing_m[:2]
    beside_m = float(np.linalg.norm(aside_m))
    over_m = tip_m[:2] + aside_m
    if beside_m > 3.0 * near_m:
        risen = tip_m[2] > high_m - 0.03
        return Want(np.array([*(over_m if risen else tip_m[:2]), high_m]), -1.0)
    if beside_m > near_m:
        return Want(np.array([*over_m, max(tip_m[2], 0.5 * high_m)]), -1.0, CARE)
    return Want(np.array([*over_m, tip_m[2] + to_m[2] - thing_m[2]]), -1.0, CARE)


def let_go(truth: Truth, wide_m: float, high_m: float) -> Want:
    """Open to more than ``wide_m`` where the tip is, then rise straight up."""
    if truth.gripper_m < wide_m:
        return Want(truth.p_BT_m.copy(), 1.0, CARE)
    return Want(np.array([*truth.p_BT_m[:2], high_m]), 1.0)


def hook(truth: Truth, behind_m: Array, to_m: Array, high_m: float, wide_m: float) -> Want:
    """With closed fingers: over a point, down to it, and from there along to another.

    behind_m, to_m: (3,) where the fingers go down and where they end. high_m: of the tip on the way
    there. wide_m: how far from the line between the two the tip may be and still go along it.
    """
    tip_m = truth.p_BT_m
    way_m = to_m[:2] - behind_m[:2]
    along = way_m / np.linalg.norm(way_m)
    rel_m = tip_m[:2] - behind_m[:2]
    ahead_m = float(rel_m @ along)
    aside_m = float(np.abs(rel_m - ahead_m * along).max())
    low = tip_m[2] < behind_m[2] + 0.012
    if low and aside_m < wide_m and ahead_m > -0.015:
        return Want(to_m.copy(), -1.0)
    beside_m = float(np.linalg.norm(rel_m))
    if beside_m < (0.012 if tip_m[2] > high_m - 0.015 else 0.02):
        return Want(behind_m.copy(), -1.0)
    if tip_m[2] < high_m - 0.03:
        return Want(np.array([*tip_m[:2], high_m]), -1.0)
    return Want(np.array([*behind_m[:2], high_m]), -1.0)
