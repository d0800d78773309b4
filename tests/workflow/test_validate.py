"""Validation: independent eyes, what a certificate says, and how the command ends."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from gate_kit import write_weights
from workflow_kit import recipe

from handful.cli import cli
from handful.config import ConfigError
from handful.contract import Command
from handful.rig import certificate as certificates
from handful.rig.certificate import claims
from handful.rig.thresholds import load_thresholds
from handful.workflow import validate as workflow
from handful.workflow.console import Console
from handful.workflow.errors import RunError
from handful.workflow.parts import Parts
from handful.workflow.validate import Asked, validate
from handful.workflow.validate_settings import ValidateSettings, chosen, load_validate
from handful.workflow.validate_watch import Watch

QUICK = recipe("task.horizon_steps=8", "rig.cameras={third: {width_px: 84, height_px: 84}}")
SETTINGS = {
    "episodes": 2,
    "films": 1,
    "severities": {
        "nominal": {},
        "hard": {"sets": ["twin.position_gain=0.05"]},
        "exploring": {"explore": True},
    },
    "sensitivity": {
        "episodes": 1,
        "curves": {"gain": {"set": "twin.position_gain={x}", "unit": "1", "values": [0.1, 0.2]}},
    },
    "thresholds": {"min_episodes": 2, "success_low": {"nominal": 0.0, "hard": 0.0}},
}


class Policy:
    """Goes one way, or, exploring, the other."""

    updates = 7

    def __init__(self, value: float = 0.3) -> None:
        self.value, self.explored = value, 0
        self.acting = self

    def act(self, observation: Any, explore: bool) -> np.ndarray:
        assert not explore
        return np.array([self.value, 0, 0, 0], np.float32)

    def sample(self, observation: Any) -> np.ndarray:
        self.explored += 1
        return np.array([-self.value, 0, 0, 0], np.float32)


def settings(**over: Any) -> ValidateSettings:
    values = json.loads(json.dumps({**SETTINGS, **over}))
    return ValidateSettings.model_validate_json(json.dumps(values))


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights without a learner; the policy behind them is ``Policy``."""
    policy = Policy()
    monkeypatch.setattr(
        workflow, "open_checkpoint", lambda path, device: (Parts(QUICK), policy, {})
    )
    return write_weights(tmp_path / "checkpoint.safetensors", {"agent/encoder.0": b"abc"})


@pytest.fixture(scope="module")
def env() -> Any:
    env = Parts(QUICK).environment()
    yield env
    env.close()


@pytest.fixture
def watch(env: Any) -> Any:
    send, advance = env.arm.send, env.world.advance
    watch = Watch(env, QUICK.rig)
    env.reset(1)
    watch.begin()
    yield watch
    env.arm.send, env.world.advance = send, advance


def step_of(env: Any, watch: Watch, *deltas: Any) -> list[str]:
    """Commands at the door of the arm, one a step, each ``(dx, dy, dz, dyaw, gripper)`` on top."""
    for dx, dy, dz, yaw, grip in deltas:
        at = env.arm.target
        p_m = at.p_BT_m + [dx, dy, dz]
        env.arm.send(Command(p_m, at.yaw_rad + yaw, grip))
        watch.judge("ok", 1)
    return watch.seen.violations


class TestWatch:
    def test_what_the_limits_allow_is_no_violation(self, env: Any, watch: Watch) -> None:
        assert step_of(env, watch, (0.03, 0.03, 0.03, 0, 0.0), (0, 0.059, 0, 0, 0.08)) == []
        assert watch.seen.commands == 2
        assert watch.seen.commanded_m_s == pytest.approx(0.59)

    @pytest.mark.parametrize(
        ("delta", "word"),
        [
            ((0.0601, 0, 0, 0, 0.0), "allowed are 0.6"),
            ((-0.0601, 0, 0, 0, 0.0), "allowed are 0.6"),
            ((0, 0, 0, 0.21, 0.0), "rad/s"),
            ((0, 0, 0, -0.21, 0.0), "rad/s"),
            ((0, 0, 0, 0, 0.081), "an opening of 0.0810 m"),
            ((0, 0, 0, 0, -0.001), "an opening of -0.0010 m"),
        ],
    )
    def test_each_limit_is_looked_at_from_both_sides(
        self, env: Any, watch: Watch, delta: Any, word: str
    ) -> None:
        said = step_of(env, watch, delta)
        assert len(said) == 1 and word in said[0] and said[0].startswith("world 1: ")

    def test_the_box_and_the_way_back_into_it(self, env: Any, watch: Watch) -> None:
        up = [(0, 0, 0.05, 0, 0.0)] * 6
        said = step_of(env, watch, *up)
        assert said and all("outside the workspace" in s for s in said)
        assert len(step_of(env, watch, (0, 0, -0.05, 0, 0.0))) == len(said), "inwards is allowed"

    def test_acceleration(self, env: Any) -> None:
        slow = QUICK.rig.guard.model_copy(update={"max_accel_m_s2": 2.0})
        send, advance = env.arm.send, env.world.advance
        watch = Watch(env, QUICK.rig.model_copy(update={"guard": slow}))
        env.reset(1)
        watch.begin()
        assert step_of(env, watch, (0.019, 0, 0, 0, 0.0), (0.03, 0, 0, 0, 0.0)) == []
        assert "2.0 m/s^2" in step_of(env, watch, (-0.03, 0, 0, 0, 0.0))[0]
        env.arm.send, env.world.advance = send, advance

    def test_a_command_that_is_not_finite_never_reaches_the_arm_unseen(
        self, env: Any, watch: Watch
    ) -> None:
        with pytest.raises(Exception, match="finite"):
            env.arm.send(Command(np.array([np.nan, 0, 0]), 0.0, 0.0))
        watch.judge("ok", 1)
        assert "not finite" in watch.seen.violations[0]

    def test_a_hold_is_no_step(self, env: Any, watch: Watch) -> None:
        env.arm.send(Command(env.arm.target.p_BT_m - [0.1, 0, 0], 0.0, 0.0))
        watch.judge("stale", 1)
        assert watch.seen.violations == []

    def test_eyes_that_see_no_command_say_so(self, watch: Watch) -> None:
        with pytest.raises(RunError, match="no command came"):
            watch.judge("ok", 1)

    def test_speed_and_force_are_physics(self, env: Any, watch: Watch) -> None:
        env.world.advance(24)
        assert watch.seen.measured_m_s < 0.05 and watch.seen.force_n == 0.0
        at = env.arm.target.p_BT_m
        for z in np.arange(at[2], -0.03, -0.02):
            env.arm.send(Command(np.array([at[0], at[1], z]), 0.0, 0.0))
            env.world.advance(24)
        assert 0.1 < watch.seen.measured_m_s < 2.0
        assert 5.0 < watch.seen.force_n <= watch.seen.peak_n
        assert watch.episode_n == watch.seen.force_n
        env.reset(2)
        watch.begin()
        assert watch.episode_n == 0.0 and watch.seen.force_n > 5.0
        watch.end()
        before = watch.seen.peak_n
        env.world.advance(24)
        assert watch.seen.peak_n == before

    def test_looking_changes_nothing(self) -> None:
        ends = []
        for watched in (False, True):
            env = Parts(QUICK).environment()
            watch = Watch(env, QUICK.rig) if watched else None
            env.reset(3)
            if watch is not None:
                watch.begin()
            while not (t := env.step(np.array([0.5, -0.5, -1, 1], np.float32))).last:
                pass
            ends.append((t.next_observation.state, env.world.joints()[0]))
            env.close()
        assert all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))


class TestValidate:
    def test_a_certificate_and_a_page_come_of_it(self, checkpoint: Path) -> None:
        certificate, page = validate(checkpoint, Asked(), settings(), Console(True))
        folder = checkpoint.parent / "validation"
        assert certificate == certificates.read(folder / "certificate.json")
        here = claims(QUICK.rig, "reach", QUICK.task_settings.model_dump(mode="json"))
        assert certificate.troubles(here) == [] and certificate.failed() == []
        assert certificate.updates == 7
        severities = certificate.values["severities"]
        assert [s["name"] for s in severities] == ["nominal", "hard", "exploring"]
        assert all(s["episodes"] == 2 and s["commands"] == s["steps"] for s in severities)
        assert all(s["violations"] == 0 and s["max_measured_speed_m_s"] > 0.05 for s in severities)
        assert severities[0]["failed_seeds"][0] == 6_000_000
        assert severities[0]["max_measured_speed_m_s"] != severities[1]["max_measured_speed_m_s"]
        points = certificate.values["sensitivity"]["gain"]["points"]
        assert [(p["value"], p["episodes"]) for p in points] == [(0.1, 1), (0.2, 1)]
        assert {p.name for p in folder.iterdir()} == {"certificate.json", "report.html"}
        html = page.read_text()
        assert "Reach: may act on the arm" in html and certificate.id in html
        assert "data:image/webp;base64," in html
        assert not re.search(r'(src|href)="(?!data:)', html), "the page needs no other file"

    def test_a_push_that_the_arm_would_stop_at_is_no_success(
        self, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        low = recipe("task.horizon_steps=12", "rig.guard.workspace_min_m=[0.3, -0.25, -0.1]")
        policy = Policy()
        down = np.array([0, 0, -1, 0], np.float32)
        policy.act = lambda observation, explore: down  # type: ignore[method-assign]
        monkeypatch.setattr(workflow, "open_checkpoint", lambda p, d: (Parts(low), policy, {}))
        monkeypatch.setattr(workflow, "succeeded", lambda transition: True)
        found = []
        for stop_n in (5.0, 1e6):
            own = settings(films=0, stop_force_n=stop_n)
            asked = Asked(("nominal",), sensitivity=False)
            certificate, _ = validate(checkpoint, asked, own, Console(True))
            found.append(certificate.values["severities"][0])
        assert (found[0]["stops"], found[0]["stop_share"], found[0]["successes"]) == (2, 1.0, 0)
        assert (found[1]["stops"], found[1]["successes"]) == (0, 2)
        assert found[0]["max_force_n"] == found[1]["max_force_n"] > 5.0

    def test_the_same_seed_finds_the_same(self, checkpoint: Path) -> None:
        found = []
        for _ in range(2):
            asked = Asked(severities=("nominal",), sensitivity=False)
            certificate, _ = validate(checkpoint, asked, settings(films=0), Console(True))
            found.append(certificate.values["severities"])
        assert found[0] == found[1]

    def test_what_is_validated_may_not_be_what_a_severity_changes(self, checkpoint: Path) -> None:
        own = settings(severities={"nominal": {"sets": ["rig.guard.max_speed_m_s=9.0"]}},
                       thresholds={"success_low": {}})  # fmt: skip
        with pytest.raises(ConfigError, match="severity nominal: may change the groups twin and"):
            validate(checkpoint, Asked(), own, Console(True))

    def test_the_cell_may_have_other_limits_than_the_run(self, checkpoint: Path) -> None:
        asked = Asked(("nominal",), sets=("rig.guard.max_speed_m_s=0.3",), sensitivity=False)
        certificate, _ = validate(checkpoint, asked, settings(films=0), Console(True))
        assert certificate.values["settings"]["limits"]["max_speed_m_s"] == 0.3
        assert certificate.values["severities"][0]["violations"] == 0
        assert "hard: was not measured" in certificate.failed()[0]

    def test_a_picture_that_comes_too_late_is_a_fault_and_no_end(self, checkpoint: Path) -> None:
        late = {"nominal": {"sets": ["twin.delay.frame_s=0.25"]}}
        own = settings(severities=late, thresholds={"success_low": {}, "min_episodes": 1}, films=1)
        asked = Asked(sensitivity=False)
        certificate, _ = validate(checkpoint, asked, own, Console(True))
        severity = certificate.values["severities"][0]
        assert severity["faults"] == severity["episodes"] == 2 and severity["successes"] == 0
        assert certificate.failed() and "faults is 2" in certificate.failed()[0]

    def test_weights_that_are_replaced_meanwhile_are_not_certified(
        self, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def replace(*_: Any) -> dict[str, Any]:
            write_weights(checkpoint, {"agent/encoder.0": b"xyz"})
            return {}

        monkeypatch.setattr(workflow, "_curves", replace)
        with pytest.raises(RunError, match="was replaced while it was validated"):
            validate(checkpoint, Asked(("nominal",)), settings(films=0), Console(True))
        assert not (checkpoint.parent / "validation").exists()

    def test_settings_are_checked(self) -> None:
        with pytest.raises(ConfigError, match="no such severity; there are: nominal, hard"):
            chosen(settings(), ("nominel",))
        with pytest.raises(ValueError, match="names 'soft', which is no severity"):
            settings(thresholds={"success_low": {"soft": 0.1}})
        with pytest.raises(ValueError, match="has no {x}"):
            settings(
                sensitivity={"curves": {"a": {"set": "twin.b=1", "unit": "m", "values": [1, 2]}}}
            )

    def test_the_shipped_settings_can_be_resolved(self) -> None:
        shipped = load_validate()
        assert shipped.thresholds == load_thresholds()
        for name, severity in shipped.severities.items():
            workflow._recipe(QUICK, severity.sets, name)
        for name, curve in shipped.sensitivity.curves.items():
            for value in curve.values:
                workflow._recipe(QUICK, (curve.set.replace("{x}", f"{value:g}"),), name)


class TestCommand:
    def test_it_says_what_came_of_it_and_its_exit_code_too(
        self, checkpoint: Path, tmp_path: Path
    ) -> None:
        own = tmp_path / "own.yaml"
        own.write_text(json.dumps({**SETTINGS, "films": 0}))
        words = ["validate", str(checkpoint), "--settings", str(own), "--no-sensitivity"]
        done = CliRunner().invoke(cli, [*words, "--json", str(tmp_path / "all.json")])
        assert done.exit_code == 0, done.output
        assert "certificate.json: passes" in done.output
        assert "nominal: 0 of 2 succeeded" in done.output
        assert json.loads((tmp_path / "all.json").read_text())["format"] == 1
        done = CliRunner().invoke(cli, [*words, "--severities", "nominal"])
        assert done.exit_code == 1 and "hard: was not measured" in done.output
        assert "does not pass" in done.output
