"""What the benchmark writes, what it refuses, and one look at the real suite."""

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dmc_kit import handful, plan, write

from handful.config import ConfigError
from handful.workflow import dmc_command, dmc_simulators
from handful.workflow.dmc_command import command_of
from handful.workflow.dmc_env import RepeatEnv
from handful.workflow.dmc_plan import Ask, resolve, simulator_of, tasks_of
from handful.workflow.dmc_results import facts_of, read_run, read_runs
from handful.workflow.errors import RunError

suite = pytest.mark.skipif(
    find_spec("dm_control") is None,
    reason="NO DM_CONTROL HERE; to test it: pip install -r requirements-dmc.txt",
)


class TestFiles:
    def test_the_head_says_what_made_it(self, tmp_path: Path) -> None:
        path = write(tmp_path, plan(), 100.0, 200.0)
        assert path == tmp_path / "line_walk/curl/seed_1.csv"
        lines = path.read_text().splitlines()
        head = [line for line in lines if line.startswith("# ")]
        assert lines[: len(head)] == head
        keys = [line[2:].partition(":")[0] for line in head]
        for key in ("task", "method", "seed", "action_repeat", "budget_env_steps", "command"):
            assert key in keys
        run = read_run(path)
        assert run.head["machine"]["cores"] >= 1 and run.head["commit"]
        assert run.head["versions"]["torch"] and run.head["threads"] == 1
        assert run.head["agent"]["batch_size"] == 128
        assert lines[len(head)].startswith("env_steps,agent_steps,train_episodes,updates,")
        assert lines[-1] == "800,200,5,90,1.5,200.0,14.1421,190.0,210.0"
        assert run.points == ((400, 100.0), (800, 200.0)) and run.at(800) == 200.0
        assert run.at(799) is None

    def test_every_commit_that_had_a_part_is_named(self, tmp_path: Path) -> None:
        path = write(tmp_path, plan(), 1.0)
        mine = read_run(path).head["commit"]
        text = path.read_text().replace(json.dumps(mine), '["abc"]')
        path.write_text(text)
        assert facts_of(path, "", "cpu", 1)["commit"] == ["abc", *mine]

    def test_a_file_of_somebody_else_is_named(self, tmp_path: Path) -> None:
        stray = tmp_path / "a/b/seed_1.csv"
        stray.parent.mkdir(parents=True)
        stray.write_text("time,value\n1,2\n")
        with pytest.raises(RunError, match="seed_1.csv: not a result of handful bench dmc"):
            read_runs(tmp_path)


@suite
class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--task", "cartpole_swinup"], "did you mean cartpole_swingup? there are: acrobot_"),
            (["--task", "HalfCheetah-v5"], "--method curl: learns from pixels, but HalfCheetah-v5"),
            (["--task", "CartPole-v1", "--method", "state"], "its actions are discrete (Discrete"),
            (["--method", "curly"], "agent/curly: no shipped profile of that name"),
            (["--method", "frozen"], "begins with demonstrations"),
            (["--set", "agent.proprioception=true"], "the protocol gives pixels only"),
            (["--set", "agent.bach_size=3"], "did you mean 'batch_size'?"),
            (["--set", "train.steps=3"], "no such group of settings here; there is: agent"),
            (["--set", "agent.replay.capacity=100"], "is more than replay.capacity 100"),
            (["--repeat", "0"], "--repeat 0: expected 1 or more"),
            (["--steps", "1001"], "--steps 1001: expected a multiple of the action repeat"),
            (["--eval-every", "1001"], "--eval-every 1001: expected a multiple"),
            (["--steps", "8000"], "the first 1000 are random: nothing would be learned"),
            (["--task", "walker_walk,"], "--task : no such task; there are: acrobot_"),
            (["--task", "planet,walker-walk"], "planet,walker-walk: walker_walk is there more"),
            (["--task", "walker_walk,HalfCheetah-v5"], "but HalfCheetah-v5 gives a state only"),
            (["--seeds", "1,x"], "--seeds 1,x: expected numbers like 1,2,3"),
            (["--seeds", "1,1"], "expected different numbers"),
        ],
    )
    def test_what_cannot_work_is_said_at_once(
        self, tmp_path: Path, words: list[str], said: str
    ) -> None:
        result = handful(*words, "--runs", str(tmp_path), "--results", str(tmp_path))
        assert result.exit_code == 2, (result.output, result.exception)
        assert said in result.stderr and result.stderr.count("handful: ") == 1
        assert list(tmp_path.iterdir()) == []

    def test_a_task_has_its_repeat_and_its_learning_rate(self) -> None:
        cheetah = resolve(Ask("cheetah-run", "curl", 1))
        assert (cheetah.task, cheetah.repeat, cheetah.agent.critic.lr) == ("cheetah_run", 4, 2e-4)
        walker = resolve(Ask("walker_walk", "curl", 1))
        assert (walker.repeat, walker.agent_steps, walker.agent.critic.lr) == (2, 50_000, 1e-3)
        changed = resolve(Ask("cheetah_run", "rad", 1, ("agent.critic.lr=0.01",)))
        assert changed.agent.critic.lr == 0.01 and changed.agent.actor.lr == 2e-4
        assert changed.name == "rad+critic.lr=0.01"
        sets = {task: resolve(Ask(task, "lean_foresight", 1)) for task in tasks_of("planet")}
        assert {s.agent.update_to_data / s.repeat for s in sets.values()} == {0.25}
        lean = resolve(Ask("reacher_easy", "lean_dmc", 1, ("agent.predict.weight=1",)))
        assert sets["reacher_easy"].agent == lean.agent
        fine = {task: resolve(Ask(task, "fine_foresight", 1)) for task in tasks_of("planet")}
        updates = {s.agent.update_to_data * s.agent_steps for s in fine.values()}
        assert updates == {25_000, 50_000}  # one a decision, two on cartpole
        coarser = ("batch_size=512", "encoder.strides=[2,2,1,1]", "encoder.input_px=84")
        coarser += ("augment.pad_px=4", "replay.n_step=1", "critic.tau=0.01")
        made = tuple(f"agent.{one}" for one in (*coarser, "critic.encoder_tau=0.01"))
        lean = resolve(Ask("reacher_easy", "lean_foresight", 1, made))
        assert fine["reacher_easy"].agent == lean.agent
        state = resolve(Ask("HalfCheetah-v5", "state", 1))
        assert (state.repeat, state.name) == (1, "state")

    def test_the_command_in_the_head_is_what_was_asked_for(self) -> None:
        ask = Ask("walker_run", "curl", 3, ("agent.batch_size=512",), repeat=4)
        assert command_of(ask) == (
            "handful bench dmc --task walker_run --method curl --seeds 3 "
            "--set agent.batch_size=512 --repeat 4"
        )


@suite
class TestSeveral:
    def test_a_group_is_six_tasks_and_the_longest_run_begins(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun: list[tuple[str, int, str]] = []

        def beside(runs: Any, *_: Any) -> None:
            begun.extend((plan.task, plan.seed, command_of(ask)) for plan, ask in runs)

        monkeypatch.setattr(dmc_command, "_run_beside", beside)
        where = ["--runs", str(tmp_path), "--results", str(tmp_path)]
        result = handful("--task", "planet", "--method", "state", "--seeds", "1,2", *where)
        assert result.exit_code == 0, result.output
        assert len(set(begun)) == 12 and {seed for _, seed, _ in begun} == {1, 2}
        assert {task for task, *_ in begun[:4]} == {"finger_spin", "walker_walk"}
        assert begun[-1][0] == "cartpole_swingup"
        assert begun[-1][2] == (
            "handful bench dmc --task cartpole_swingup --method state --seeds 2"
        )

    def test_two_tasks_run_and_are_told_apart(self, tmp_path: Path) -> None:
        tiny = ["--steps", "400", "--eval-episodes", "1", "--set", "agent.start_steps=5"]
        tiny += ["--set", "agent.batch_size=4", "--name", "tiny", "--device", "cpu"]
        where = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
        words = ["--task", "cartpole_swingup,reacher_easy", "--method", "state", *tiny, *where]
        result = handful(*words, "--json", "-")
        assert result.exit_code == 0, (result.output, result.exception)
        told = json.loads(result.stdout)
        assert told["name"] == "tiny" and set(told["tasks"]) == {"cartpole_swingup", "reacher_easy"}
        for task, of in told["tasks"].items():
            run = read_run(Path(of["results"]["1"]))
            assert run.head["task"] == task and run.points[-1] == (400, of["returns"]["1"])
            assert f"{task} seed 1: ended" in result.stderr


def test_without_the_suite_the_way_to_get_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dmc_simulators, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"'dm_control', which is not installed; `pip install"):
        dmc_simulators.find_task("cartpole_swingup")


@suite
def test_what_gymnasium_needs_besides_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        dmc_simulators, "find_spec", lambda name: None if name == "imageio" else find_spec(name)
    )
    assert dmc_simulators.find_task("walker_walk").suite == "dm_control"
    with pytest.raises(ConfigError, match="--task Hopper-v5: needs the Python package 'imageio'"):
        dmc_simulators.find_task("Hopper-v5")


def test_a_renderer_is_chosen_or_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    assert dmc_simulators.choose_renderer(lambda name: True) == "egl"
    assert dmc_simulators.choose_renderer(lambda name: name == "osmesa") == "osmesa"
    with pytest.raises(ConfigError, match="libegl1 and libgl1-mesa-dri, .* OSMesa .libosmesa6"):
        dmc_simulators.choose_renderer(lambda name: False)
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    assert dmc_simulators.choose_renderer(lambda name: False) == "glfw"


@suite
def test_the_real_suite_and_gymnasium_behave_as_the_stand_in() -> None:
    of = resolve(Ask("cartpole_swingup", "sac", 1, ("agent.augment.kind=none",)))
    simulator = simulator_of(of)
    if os.environ.get("MUJOCO_GL") == "disable":
        simulator.close()
        pytest.skip("NO RENDERER HERE; to test it: apt-get install libegl1 libgl1-mesa-dri")
    env = RepeatEnv(simulator, of.spec(simulator), of.repeat)
    try:
        assert (env.horizon, env.spec.height_px, env.spec.action_dim) == (125, 84, 1)
        first = env.reset(7).images["scene"]
        steps = [env.step(np.array([0.9], np.float32)) for _ in range(3)]
        seen = steps[-1].next_observation.images["scene"]
        assert first.shape == (84, 84, 9) and first.std() > 5
        assert not np.array_equal(seen[..., :3], seen[..., 6:])
        assert all(0.0 <= s.reward <= 8.0 and s.discount == 1.0 for s in steps)
        again = env.reset(7)
        assert np.array_equal(again.images["scene"], first)
        assert not np.array_equal(env.reset(8).images["scene"], first)
    finally:
        env.close()
    of = resolve(Ask("Hopper-v5", "state", 1))
    simulator = simulator_of(of)
    env = RepeatEnv(simulator, of.spec(simulator), of.repeat)
    try:
        assert env.reset(3).state.shape == (11,)
        action = np.ones(3, np.float32)
        fallen = next(s for s in iter(lambda: env.step(action), None) if s.last)
        assert fallen.discount == 0.0  # a fall is worth nothing, a time limit is
    finally:
        env.close()
