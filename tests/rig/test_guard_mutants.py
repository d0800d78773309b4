"""Every line of the guard is broken once, and the guard's own tests must notice each time."""

import inspect
import os
from pathlib import Path
from types import FunctionType

import pytest

from handful.rig import guard

CASES = str(Path(__file__).with_name("test_guard_cases.py"))
SOURCE = inspect.getsource(guard)

MUTANTS = [
    ("if not 0.0 < period_s < math.inf:", "if False:"),
    ("0.0 < period_s < math.inf", "0.0 <= period_s < math.inf"),
    ("0.0 < period_s < math.inf", "0.0 < period_s <= math.inf"),
    ("- arm.target_p_BT_m\n    turn", "- arm.p_BT_m\n    turn"),
    ("turn_rad = want.yaw_rad - arm.target_yaw_rad", "turn_rad = want.yaw_rad - arm.yaw_rad"),
    ("numbers = (*wish_m.tolist(), ", "numbers = ("),
    ("turn_rad, want.gripper_m, *", "want.gripper_m, *"),
    ("turn_rad, want.gripper_m, *", "turn_rad, *"),
    (", *map(float, previous_step_m))", ")"),
    ("if not all(map(math.isfinite, numbers))", "if not any(map(math.isfinite, numbers))"),
    ("arm, Status.NOT_FINITE", "arm, Status.STALE"),
    ("not -_CLOCK_JITTER_S <= age_s <= ", "not -_CLOCK_JITTER_S <= age_s < "),
    ("not -_CLOCK_JITTER_S <= age_s <= ", "not 0.0 <= age_s <= "),
    ("not -_CLOCK_JITTER_S <= age_s <= ", "age_s > "),
    ("not -_CLOCK_JITTER_S <= age_s <= settings.max_age_s", "False"),
    ("Status.STALE,\n", "Status.OK,\n"),
    ("turn_rad = math.remainder(turn_rad, math.tau)", "pass"),
    ("low_m = np.minimum(settings.workspace_min_m, start_m)", "low_m = settings.workspace_min_m"),
    ("high_m = np.maximum(settings.workspace_max_m, start_m)", "high_m = settings.workspace_max_m"),
    ("np.minimum(settings.workspace_min_m, start_m)", "start_m - 9.0"),
    ("np.maximum(settings.workspace_max_m, start_m)", "start_m + 9.0"),
    ("start_m + slow * wish_m", "start_m + wish_m"),
    ("goal_m = np.minimum(np.maximum(free_m, low_m), high_m)", "goal_m = np.fmax(free_m, low_m)"),
    ("goal_m = np.minimum(np.maximum(free_m, low_m), high_m)", "goal_m = np.fmin(free_m, high_m)"),
    ("(goal_m != free_m).any()", "(goal_m != free_m).all()"),
    ("    turn_rad *= slow\n", ""),
    ("if again < 1.0:", "if False:"),
    ("            turn_rad *= again\n", ""),
    ("arm.target_yaw_rad + turn_rad", "want.yaw_rad"),
    ("max(want.gripper_m, 0.0)", "want.gripper_m"),
    ("min(max(want.gripper_m, 0.0), settings.max_gripper_m)", "max(want.gripper_m, 0.0)"),
    ("Status.AT_WALL, f", "Status.OK, f"),
    ('if g != f)\n', 'if g == f)\n'),
    ("Status.SLOWED, f", "Status.OK, f"),
    ("Verdict(command, goal_m - start_m,", "Verdict(command, wish_m,"),
    ("length_m == 0.0 and turn_rad == 0.0", "length_m == 0.0 or turn_rad == 0.0"),
    ("yaw_rad / abs(turn_rad)", "yaw_rad / turn_rad"),
    ("max_yaw_rate_rad_s * period_s", "max_yaw_rate_rad_s"),
    ("if length_m == 0.0:\n        return slow", "if length_m == 0.0:\n        return 1.0"),
    ("slow = min(slow, settings.max_speed_m_s", "slow = max(slow, settings.max_speed_m_s"),
    ("max_speed_m_s * period_s / length_m", "max_speed_m_s * period_s / max(abs(wish_m))"),
    ("max_accel_m_s2 * period_s * period_s", "max_accel_m_s2 * period_s"),
    ("if along_m <= 0.0:", "if along_m < -9.0:"),
    ("if along_m <= 0.0:", "if True:"),
    ("(uy * pz - uz * py) / previous_m", "0.0"),
    ("(uz * px - ux * pz) / previous_m", "0.0"),
    ("(ux * py - uy * px) / previous_m", "0.0"),
    ("reach_m / across if across > 0.0", "reach_m if across > 0.0"),
    ("if allowed_m * along_m > previous_m * previous_m:", "if False:"),
    ("if allowed_m * along_m > previous_m * previous_m:", "if True:"),
    ("allowed_m = along_m + math.sqrt", "allowed_m = along_m - math.sqrt"),
    ("reach_m * reach_m - offset_m * offset_m", "reach_m * reach_m"),
    ("return min(slow, allowed_m / length_m)", "return slow"),
    ("return min(slow, allowed_m / length_m)", "return min(1.0, allowed_m / length_m)"),
    ("if not all(map(math.isfinite, pose))", "if False"),
    ("pose = (*arm.p_BT_m.tolist(), arm.yaw_rad)", "pose = arm.p_BT_m.tolist()"),
    ("arm.target_gripper_m if math.isfinite(arm.target_gripper_m) else ", ""),
    ("if not math.isfinite(grip_m)", "if False"),
    ("p_BT_m=arm.p_BT_m.copy()", "p_BT_m=arm.target_p_BT_m.copy()"),
    ("p_BT_m=arm.p_BT_m.copy()", "p_BT_m=arm.p_BT_m"),
    ("yaw_rad=float(arm.yaw_rad)", "yaw_rad=float(arm.target_yaw_rad)"),
    ("min(max(grip_m, 0.0), settings.max_gripper_m)", "grip_m"),
    ("Verdict(command, np.zeros(3), status", "Verdict(command, np.ones(3), status"),
]  # fmt: skip


class Quiet:
    """A plugin that says nothing of the tests that were meant to fail."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.unregister(name="terminalreporter")


def run_cases() -> int:
    """The exit code of the by-hand cases, run inside this process on the guard as it is now."""
    own_settings = ["-c", os.devnull, "-p", "no:cacheprovider", "-p", "no:timeout"]
    arguments = [*own_settings, "--import-mode=importlib", "-x", CASES]
    return pytest.main(arguments, plugins=[Quiet()])


def test_the_guard_as_it_is_passes_again_and_again() -> None:
    assert run_cases() == run_cases() == pytest.ExitCode.OK


@pytest.mark.parametrize(("line", "broken"), MUTANTS, ids=[m[1][:60].strip() for m in MUTANTS])
def test_a_broken_guard_is_noticed(line: str, broken: str, monkeypatch) -> None:
    assert SOURCE.count(line) == 1, f"the guard has no single {line!r} any more; mend the mutant"
    mutant: dict[str, object] = {"__name__": guard.__name__}
    exec(compile(SOURCE.replace(line, broken), "mutant", "exec"), mutant)
    for name in ("check", "_factor", "_hold"):
        function = mutant[name]
        assert isinstance(function, FunctionType)
        monkeypatch.setattr(getattr(guard, name), "__code__", function.__code__)
    assert run_cases() == pytest.ExitCode.TESTS_FAILED
