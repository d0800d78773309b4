"""The twin beside the arm: an arm that moves as identified stays near it, any other does not."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from handful_twin.settings import TwinSettings
from handful_twin.shadow import Divergence, Shadow, ShadowSettings
from handful_twin.twin_arm import TwinArm
from handful_twin.world import World

from handful.config import load
from handful.contract import ArmState, Command

TWIN = load(TwinSettings, "twin")
PERIOD_S, STATE_S = 0.1, 0.02
START_M = np.array([0.46, 0.0, 0.22])


class Played:
    """A twin that plays the arm, with an arm state every 20 ms, and a shadow that hears it all."""

    def __init__(self, delay_s: float = 0.0, shadow: ShadowSettings | None = None, **over: Any):
        self.world = World(TWIN.model_copy(update=over), {})
        self.arm = TwinArm(self.world)
        self.delay_s = delay_s
        self.shadow = Shadow(TWIN, shadow or ShadowSettings(), PERIOD_S)
        q_rad, _ = self.world.model.solve_down(self.world.model.home_rad, START_M, 0.0, 200, 1e-9)
        self.world.reset(q_rad, 0.05, {})
        self.target = Command(START_M, 0.0, 0.05)
        self.arm.target = self.target
        self.shadow.on_command(self.target, False, 0.0)
        self.stuck = False
        self.late: list[tuple[float, Command]] = []

    def step(self, delta_m: Any = (0.0, 0.0, 0.0), yaw_rad: float = 0.0) -> Divergence | None:
        """Tell it a step, let a period pass, compare."""
        target = self.target
        self.target = Command(target.p_BT_m + delta_m, target.yaw_rad + yaw_rad, 0.05)
        now_s = self.world.time_s
        self.shadow.on_command(self.target, False, now_s)
        self.late.append((now_s + self.delay_s, self.target))
        for _ in range(round(PERIOD_S / STATE_S)):
            while self.late and self.late[0][0] <= self.world.time_s + 1e-9:
                _, command = self.late.pop(0)
                if not self.stuck:
                    self.arm.send(command)
            self.world.advance_until(self.world.time_s + STATE_S)
            self.shadow.on_state(self.arm.state())
        return self.shadow.compare()

    def wander(self, steps: int = 30) -> list[Divergence]:
        """A zig-zag in the box; every comparison that could be made."""
        rng = np.random.default_rng(0)
        seen = []
        for _ in range(steps):
            wish = 0.03 * rng.uniform(-1.0, 1.0, 3)
            middle = 0.3 * np.clip(START_M - self.target.p_BT_m, -0.05, 0.05)
            found = self.step(wish + middle, float(0.1 * rng.uniform(-1.0, 1.0)))
            seen += [found] if found is not None else []
        return seen

    def close(self) -> None:
        self.shadow.close()
        self.world.close()


@pytest.fixture
def made() -> Iterator[list[Played]]:
    made: list[Played] = []
    yield made
    for one in made:
        one.close()


def worst(seen: list[Divergence]) -> tuple[float, float]:
    assert len(seen) >= 20
    return max(d.one_m for d in seen), max(d.ahead_m for d in seen)


def test_the_arm_it_knows_stays_within_millimetres(made: list[Played]) -> None:
    made.append(Played())
    one_m, ahead_m = worst(made[0].wander())
    assert one_m < 0.003 and ahead_m < 0.003, (one_m, ahead_m)


def test_another_arm_is_further_off_and_a_known_delay_is_taken_off(made: list[Played]) -> None:
    made += [
        Played(),
        Played(position_gain=0.03),
        Played(delay_s=0.06),
        Played(delay_s=0.06, shadow=ShadowSettings(command_delay_s=0.06)),
    ]
    same, soft, late, known = (worst(p.wander())[1] for p in made)
    assert soft > 3.0 * same and late > 3.0 * same, (same, soft, late)
    assert known < 0.5 * late, (known, late)


def test_an_arm_that_is_blocked_is_held_and_one_that_moves_is_not(made: list[Played]) -> None:
    made.append(Played(shadow=ShadowSettings(hold_m=0.03, hold_after=2)))
    played = made[0]
    assert not any(played.shadow.verdict(d) for d in played.wander())
    played.stuck = True
    said = []
    for _ in range(6):
        found = played.step((0.0, 0.03, 0.0))
        assert found is not None
        said.append(played.shadow.verdict(found))
    assert (
        said[0] == "" and "mm and" in said[-1] and "from where its twin went in 0.5 s" in said[-1]
    )


def test_a_turn_is_looked_at_too(made: list[Played]) -> None:
    made.append(Played(shadow=ShadowSettings(hold_rad=0.2, hold_after=1)))
    played = made[0]
    played.wander(8)
    played.stuck = True
    said = [played.shadow.verdict(d) for _ in range(5) if (d := played.step(yaw_rad=0.1))]
    assert said[0] == "" and said[-1]


def test_nothing_is_compared_before_enough_was_heard_or_after_a_jump(made: list[Played]) -> None:
    made.append(Played())
    played = made[0]
    assert played.shadow.compare() is None
    assert played.step() is None
    assert len(played.wander(8)) >= 3
    played.shadow.forget()
    assert played.shadow.compare() is None and played.step() is None
    assert played.wander(8), "it goes on once there is a past again"
    newest = played.shadow._states[-1]
    back = ArmState(**{**vars(newest), "stamp_s": newest.stamp_s - 1.0})
    played.shadow.on_state(back)
    assert played.shadow.compare() is None


def test_an_arm_without_joints_is_followed_by_its_pose(made: list[Played]) -> None:
    made.append(Played())
    played = made[0]
    hear = played.shadow.on_state
    played.shadow.on_state = lambda s: hear(  # type: ignore[method-assign]
        ArmState(**{**vars(s), "q_rad": np.zeros(0)})
    )
    one_m, ahead_m = worst(played.wander())
    assert ahead_m < 0.02, (one_m, ahead_m)
