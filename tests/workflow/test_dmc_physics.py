"""Capsules that weigh what MuJoCo 2.1.0 took them for, against numbers read off that library.

The constants come from its shared object, by ``benchmarks/bench_physics.py``'s ``Old``.
"""

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from handful.cli import cli
from handful.config import ConfigError
from handful.workflow.dmc_plan import Ask, resolve, simulator_of, told_name

if find_spec("dm_control") is None:
    pytest.skip(
        "NO DM_CONTROL HERE; to test it: pip install -r requirements-dmc.txt",
        allow_module_level=True,
    )

from handful.workflow.dmc_physics import weigh_as_published

FINGER_MASS = [0.0, 0.8051776343353892, 0.6355190610799865, 2.324778563656447]  # [kg]
FINGER_INERTIA = [
    [0.0, 0.0, 0.0],
    [0.00338471, 0.00336697, 0.00041075],
    [0.00208601, 0.00208601, 0.00025913],
    [0.01071241, 0.00989277, 0.00274167],
]  # [kg m^2]
SPINNER_INVERSE = 93.3496577140232  # [1 / (kg m^2)] dof_invweight0 of its hinge
SPINNING_DOWN = [-14.0147, -13.0824, -12.2002]  # [rad/s] after each 20 ms, from -15, untouched


def physics_of(name: str, physics: str = "published") -> Any:
    """dm_control's physics of a task, as a run would have them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        simulator = simulator_of(resolve(Ask(name, "state", 1, physics=physics)))  # type: ignore[arg-type]
    simulator.reset(1)
    return simulator._env.physics  # type: ignore[attr-defined]


def test_a_finger_weighs_what_it_weighed() -> None:
    model = physics_of("finger_spin").model
    assert model.body_mass == pytest.approx(FINGER_MASS, rel=1e-7)
    assert np.allclose(model.body_inertia, FINGER_INERTIA, rtol=0, atol=1e-8)
    assert model.dof_invweight0[2] == pytest.approx(SPINNER_INVERSE, rel=1e-12)


def test_the_spinner_slows_down_as_it_did() -> None:
    physics = physics_of("finger_spin")
    physics.data.qpos[:] = [-1.9, 0.0, 0.0]  # the finger out of its way
    physics.data.qvel[:] = [0.0, 0.0, -15.0]
    physics.forward()
    seen = []
    for _ in SPINNING_DOWN:
        physics.step(2)
        seen.append(float(physics.data.qvel[2]))
    assert seen == pytest.approx(SPINNING_DOWN, abs=1e-4)


def test_as_installed_it_is_heavier() -> None:
    model = physics_of("finger_spin", "installed").model
    hinge = 1.0 / model.dof_invweight0[2]
    assert hinge * SPINNER_INVERSE == pytest.approx(1.186, abs=1e-3)


@pytest.mark.parametrize("name", ["walker_walk", "cheetah_run", "reacher_easy", "hopper_hop"])
def test_only_weights_change(name: str) -> None:
    old, new = physics_of(name).model, physics_of(name, "installed").model
    assert not np.array_equal(old.body_inertia, new.body_inertia)
    for same in ("geom_type", "geom_size", "geom_pos", "geom_quat", "body_pos", "dof_damping"):
        assert np.array_equal(getattr(old, same), getattr(new, same)), same
    assert old.stat.extent == new.stat.extent  # the camera's planes
    assert 0.9 < old.stat.meaninertia / new.stat.meaninertia < 1.0
    if name == "cheetah_run":  # its file says what it weighs in all
        assert sum(old.body_mass) == pytest.approx(14.0)


def test_a_task_that_builds_its_model_is_refused_with_the_way_out() -> None:
    from dm_control import suite

    for domain, task in (("cartpole", "two_poles"), ("swimmer", "swimmer6"), ("quadruped", "run")):
        env = suite.load(domain, task)
        with pytest.raises(ConfigError, match=f"{domain}_{task} .* add --physics installed"):
            weigh_as_published(env, domain, task)
        env.close()


def test_the_six_of_the_papers_have_it_and_others_when_asked() -> None:
    assert resolve(Ask("finger_spin", "state", 1)).physics == "published"
    assert resolve(Ask("hopper_hop", "state", 1)).physics == "installed"
    asked = resolve(Ask("finger_spin", "state", 1, physics="installed"))
    assert (asked.physics, asked.name) == ("installed", "state+physics=installed")
    assert resolve(Ask("HalfCheetah-v5", "state", 1)).physics == "installed"
    with pytest.raises(ConfigError, match="--physics published: HalfCheetah-v5 is Gymnasium's"):
        resolve(Ask("HalfCheetah-v5", "state", 1, physics="published"))


def test_a_result_of_other_physics_is_named_so_and_not_written_over(tmp_path: Path) -> None:
    head = {"task": "finger_spin", "name": "state"}
    assert told_name(head) == "state (MuJoCo from 2.1.1)"
    assert told_name(head | {"physics": "published"}) == "state"
    assert told_name({"task": "hopper_hop", "name": "state"}) == "state"
    words = ["bench", "dmc", "--task", "finger_spin", "--method", "state", "--steps", "40"]
    words += ["--eval-episodes", "1", "--set", "agent.start_steps=5", "--name", "one"]
    words += ["--set", "agent.batch_size=4", "--results", str(tmp_path / "results")]
    first = CliRunner().invoke(
        cli, [*words, "--physics", "installed", "--runs", str(tmp_path / "a")]
    )
    assert first.exit_code == 0, first.output
    (there,) = (tmp_path / "results").rglob("*.csv")
    before = there.read_bytes()
    second = CliRunner().invoke(cli, [*words, "--runs", str(tmp_path / "b")])
    assert second.exit_code == 2, second.output
    assert f"{there}: was measured under installed physics" in second.stderr
    assert there.read_bytes() == before
