"""What the benchmark writes and prints, what it refuses, and one look at the real suite."""

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result

from handful.cli import cli
from handful.config import ConfigError, build, load
from handful.learn.settings import AgentSettings
from handful.workflow import dmc_command, dmc_simulators
from handful.workflow.dmc_command import command_of
from handful.workflow.dmc_env import RepeatEnv
from handful.workflow.dmc_plan import Ask, Plan, resolve, simulator_of, tasks_of
from handful.workflow.dmc_published import (
    Published,
    as_markdown,
    compare,
    published_lists,
    tolerance,
)
from handful.workflow.dmc_results import (
    csv_path,
    facts_of,
    read_run,
    read_runs,
    write_plots,
    write_run,
)
from handful.workflow.dmc_train import Look
from handful.workflow.errors import RunError

suite = pytest.mark.skipif(
    find_spec("dm_control") is None,
    reason="NO DM_CONTROL HERE; to test it: pip install -r requirements-dmc.txt",
)


def plan(seed: int = 1, task: str = "line_walk", method: str = "curl", **changed: Any) -> Plan:
    values = {
        "name": method,
        "repeat": 4,
        "budget_env_steps": 800,
        "physics": "installed",
    } | changed
    return Plan(
        task,
        method,
        seed=seed,
        eval_every_env_steps=400,
        eval_episodes=2,
        agent=build(AgentSettings, {}, "any"),
        **values,
    )


def write(results: Path, of: Plan, *means: float) -> Path:
    looks = [
        Look(400 * (i + 1), 100 * (i + 1), 4 + i, 90 * i, 1.5, (mean - 10, mean + 10))
        for i, mean in enumerate(means)
    ]
    path = csv_path(results, of)
    write_run(path, of, looks, facts_of(path, "handful bench dmc --seeds 1", "cpu", 1))
    return path


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

    def test_a_plot_shows_seeds_mean_and_papers(self, tmp_path: Path) -> None:
        for seed, mean in ((1, 100.0), (2, 300.0)):
            write(tmp_path, plan(seed), mean, mean + 100)
        known = Published(
            name="P <1>", method="curl", source="", seeds=3, env_steps=800,
            tasks={"line_walk": (250.0, 5.0)},
        )  # fmt: skip
        (path,) = write_plots(read_runs(tmp_path), [known])
        svg = ElementTree.fromstring(path.read_text())
        assert path == tmp_path / "line_walk/curl/curve.svg"
        said = " ".join(svg.itertext())
        write(tmp_path, plan(1, method="state"), 700.0, 800.0)
        files = write_plots(read_runs(tmp_path), [known])
        assert files[-1] == tmp_path / "line_walk/curve.svg" and len(files) == 3
        both = " ".join(ElementTree.fromstring(files[-1].read_text()).itertext())
        assert "curl: mean of 2 seeds" in both and "state: 1 seed" in both
        assert "mean of 2 seeds" in said and "P <1>: 250" in said and "seed 2" in said

    def test_eight_names_of_a_task_have_eight_colours_and_words_beside_the_lines(
        self, tmp_path: Path
    ) -> None:
        for index in range(8):
            write(tmp_path, plan(1, name=f"curl{index}"), 100.0, 200.0)
        svg = ElementTree.fromstring(write_plots(read_runs(tmp_path), [])[-1].read_text())
        words = [e for e in svg.iter() if e.get("class") == "name"][1:]
        assert len({e.get("style") for e in words}) == len(words) == 8
        lines = [e.get("d") or "" for e in svg.iter() if e.get("fill") == "none"]
        last = max(float(d.rpartition("L")[2].split()[0]) for d in lines)
        assert all(float(e.get("x") or 0) > last for e in words)

    def test_the_twelfth_name_has_a_colour_again_and_is_dashed(self, tmp_path: Path) -> None:
        for index in range(12):
            write(tmp_path, plan(1, name=f"curl{index:02}"), 100.0, 200.0)
        svg = ElementTree.fromstring(write_plots(read_runs(tmp_path), [])[-1].read_text())
        lines = [e for e in svg.iter() if e.get("fill") == "none"]
        looks = {(e.get("stroke"), e.get("stroke-dasharray")) for e in lines}
        assert len(looks) == 12 and sum(e.get("stroke-dasharray") is not None for e in lines) == 2
        assert " ".join(svg.itertext()).count("dashed") == 2


class TestVerdicts:
    def test_the_rule_is_two_standard_errors_of_a_difference(self) -> None:
        assert tolerance(1.0, 10, 3) == pytest.approx(1.3166, abs=1e-4)
        assert tolerance(1.0, 10, 5) == pytest.approx(1.0954, abs=1e-4)
        assert tolerance(1.0, 10, 10) == pytest.approx(0.8944, abs=1e-4)
        assert tolerance(None, 10, 3) is tolerance(1.0, None, 3) is tolerance(1.0, 10, 0) is None

    @pytest.mark.parametrize(
        ("means", "sd", "verdict"),
        [
            ((), 50.0, "not run"),
            ((560.0, 580.0, 600.0), 50.0, "within"),
            ((500.0, 520.0, 540.0), 50.0, "within"),  # 62 below, 66 allowed
            ((500.0, 510.0, 520.0), 50.0, "below"),  # 72 below
            ((700.0,), 50.0, "above"),
            ((700.0,), None, "no deviation published"),
        ],
    )
    def test_a_cell(
        self, tmp_path: Path, means: tuple[float, ...], sd: float | None, verdict: str
    ) -> None:
        known = Published(
            name="P", method="curl", source="s", seeds=10, env_steps=800,
            tasks={"line_walk": (582.0, sd)},
        )  # fmt: skip
        for seed, mean in enumerate(means):
            write(tmp_path, plan(seed), 5.0, mean)
        write(tmp_path, plan(50), 900.0)  # has not come to the mark: it does not count
        write(tmp_path, plan(51, method="rad"), 5.0, 900.0)  # another method
        (cell,) = compare([known], read_runs(tmp_path))
        assert cell.verdict == verdict and cell.ours == means
        assert cell.to_dict()["verdict"] == verdict

    def test_a_variant_has_a_row_of_its_own(self, tmp_path: Path) -> None:
        write(tmp_path, plan(), 1.0, 500.0)
        write(tmp_path, plan(name="curl+batch_size=512"), 1.0, 600.0)
        known = Published(
            name="P", method="curl", source="s", seeds=10, env_steps=800,
            tasks={"line_walk": (582.0, 50.0), "line_run": (1.0, 2.0)},
        )  # fmt: skip
        cells = compare([known], read_runs(tmp_path))
        assert [(c.task, c.name, c.mean) for c in cells] == [
            ("line_walk", "curl", 500.0),
            ("line_walk", "curl+batch_size=512", 600.0),
            ("line_run", "curl", None),
        ]
        page = as_markdown(cells)
        assert "| P | line_run | 1 ± 2 (10) | curl | not run |  | not run |" in page
        assert "| P | mean over 2 tasks | 292 | curl | 1 of 2 run |  |  |" in page

    def test_the_shipped_lists_are_the_papers(self) -> None:
        lists = {known.name: known for known in published_lists()}
        curl, drq = lists["CURL 100k"].tasks, lists["DrQ 100k"].tasks
        assert sum(mean for mean, _ in curl.values()) / 6 == pytest.approx(560, abs=1)
        assert sum(mean for mean, _ in drq.values()) / 6 == pytest.approx(688, abs=1)
        assert all(
            known.seeds or known.method in ("rad", "lean_foresight") for known in lists.values()
        )
        for known in lists.values():
            for method in (known.method, *known.also):
                load(AgentSettings, f"agent/{method}")

    def test_several_profiles_may_stand_beside_a_list(self, tmp_path: Path) -> None:
        known = Published(
            name="P", method="ours", also=("older",), source="", seeds=3, env_steps=800,
            tasks={"line_walk": (250.0, 5.0)},
        )  # fmt: skip
        for method, mean in (("ours", 500.0), ("older", 400.0), ("curl", 300.0)):
            write(tmp_path, plan(1, method=method), mean, mean)
        cells = compare([known], read_runs(tmp_path))
        assert [(c.name, c.mean) for c in cells] == [("older", 400.0), ("ours", 500.0)]


def handful(*words: str) -> Result:
    return CliRunner().invoke(cli, ["bench", "dmc", *words], prog_name="handful")


def test_the_table_says_what_was_not_run(tmp_path: Path) -> None:
    result = handful("--table", "--results", str(tmp_path / "none"), "--json", "-")
    assert result.exit_code == 0, result.output
    numbers = json.loads(result.stdout)
    assert {cell["verdict"] for cell in numbers["cells"]} == {"not run"}
    assert "| CURL 100k | cartpole_swingup | 582 ± 146 (10) | curl | not run |" in result.stderr


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
