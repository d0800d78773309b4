"""The benchmark's protocol on a task one can do sums with: repeats, marks, and runs that go on."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.config import build, load
from handful.learn.learner import Learner
from handful.learn.settings import AgentSettings
from handful.workflow.console import Console
from handful.workflow.dmc_env import RepeatEnv
from handful.workflow.dmc_plan import Plan
from handful.workflow.dmc_simulators import Tick
from handful.workflow.dmc_train import DmcRun, Look
from handful.workflow.errors import RunError
from handful.workflow.interrupt import Stopped

TINY = {
    "encoder": {"filters": 4, "strides": [2, 2], "input_px": 16, "latent_dim": 8},
    "augment": {"kind": "crop", "pad_px": 2},
    "contrast": {"weight": 1.0},
    "pretrain": {"updates": 0},
    "critic": {"hidden_dim": 8},
    "actor": {"hidden_dim": 8, "every": 2},
    "replay": {"capacity": 400, "demo_share": None, "successes_to_demos": False},
    "batch_size": 4,
    "start_steps": 6,
    "proprioception": False,
    "frame_stack": 3,
}


@dataclass
class Line:
    """A point that actions push; every step pays 0.25, the 24th is the time limit."""

    ends: float = 1.0  # discount at the end
    horizon: int = 24
    state_dim: int = 2
    action_dim: int = 1
    dt_s: float = 0.5
    pushed: list[float] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    drawn: int = 0
    closed: bool = False

    def reset(self, seed: int) -> None:
        self.seeds.append(seed)
        self.x, self.steps = float(np.random.default_rng(seed).uniform(-1, 1)), 0

    def step(self, action: np.ndarray) -> Tick:
        self.steps += 1
        self.pushed.append(float(action[0]))
        self.x += 0.05 * float(action[0])
        over = self.steps >= self.horizon
        return Tick(0.25 + 0.01 * self.x, over, self.ends if over else 1.0)

    def picture(self, side_px: int) -> np.ndarray:
        self.drawn += 1
        picture = np.full((side_px, side_px, 3), self.steps, np.uint8)
        picture[:, int(np.clip(self.x + 2, 0, 4) / 4 * (side_px - 1))] = 200
        return picture

    def state(self) -> np.ndarray:
        return np.array([self.x, self.steps], np.float32)

    def close(self) -> None:
        self.closed = True


def plan(**changed: Any) -> Plan:
    """Repeat 3: eight decisions an episode; 50 decisions, so the last episode is cut."""
    agent = build(AgentSettings, TINY, "tiny")
    values = {"repeat": 3, "budget_env_steps": 150, "eval_every_env_steps": 60, "eval_episodes": 2}
    given = {**values, **changed}
    return Plan("line", "curl", "curl", 1, **given, physics="installed", agent=agent)


def environment(simulator: Line, of: Plan) -> RepeatEnv:
    return RepeatEnv(simulator, of.spec(simulator), of.repeat)


class TestRepeat:
    def test_rewards_are_summed_and_only_the_last_picture_is_drawn(self) -> None:
        line = Line()
        env = environment(line, plan())
        first = env.reset(5)
        assert (env.horizon, line.drawn) == (8, 1)
        start = line.x
        step = env.step(np.array([0.5], np.float32))
        assert line.pushed == [0.5] * 3 and line.drawn == 2
        where = [start + 0.05 * 0.5 * k for k in (1, 2, 3)]
        assert step.reward == pytest.approx(0.75 + 0.01 * sum(where))
        assert step.next_observation.stamp_s == 1.5 and first.stamp_s == 0.0

    def test_the_first_frame_fills_the_stack_and_the_newest_is_last(self) -> None:
        env = environment(Line(), plan())
        image = env.reset(1).images["scene"]
        assert image.shape == (20, 20, 9) and image.dtype == np.uint8
        assert np.array_equal(image[..., :3], image[..., 6:])
        after = env.step(np.zeros(1, np.float32)).next_observation.images["scene"]
        assert np.array_equal(after[..., :6], image[..., 3:]) and after[..., 6:].min() == 3
        again = env.reset(1).images["scene"]
        assert np.array_equal(again, image)

    @pytest.mark.parametrize(("ends", "discount"), [(1.0, 1.0), (0.0, 0.0)])
    def test_a_time_limit_bootstraps_and_a_termination_does_not(
        self, ends: float, discount: float
    ) -> None:
        env = environment(Line(ends), plan())
        env.reset(1)
        steps = [env.step(np.zeros(1, np.float32)) for _ in range(8)]
        assert [s.discount for s in steps] == [1.0] * 7 + [discount]
        assert [s.last for s in steps] == [False] * 7 + [True]
        with pytest.raises(RuntimeError, match="outside an episode"):
            env.step(np.zeros(1, np.float32))

    def test_an_episode_that_ends_inside_a_repeat_is_not_stepped_on(self) -> None:
        line = Line(horizon=7)
        env = environment(line, plan())
        env.reset(1)
        rewards = [env.step(np.zeros(1, np.float32)).reward for _ in range(3)]
        assert env.horizon == 3 and len(line.pushed) == 7
        assert rewards[2] == pytest.approx(rewards[0] / 3)

    def test_a_state_task_has_no_pictures(self) -> None:
        of = Plan(
            "line",
            "state",
            "state",
            1,
            2,
            20,
            20,
            1,
            "installed",
            load(AgentSettings, "agent/state"),
        )
        line = Line()
        env = environment(line, of)
        seen = env.reset(3)
        assert seen.images == {} and seen.state.shape == (2,) and line.drawn == 0


def test_steps_are_counted_in_the_environment() -> None:
    of = plan()
    assert of.agent_steps == 50
    assert of.marks() == [60, 120, 150]
    assert plan(eval_every_env_steps=150).marks() == [150]
    assert plan(budget_env_steps=120).marks() == [60, 120]


class Bench:
    """A run in a folder, made again as often as it is wanted; remembers its simulators."""

    def __init__(self, folder: Path, of: Plan | None = None) -> None:
        self.folder, self.plan = folder, of or plan()
        self.lines: list[Line] = []
        self.seen: list[list[Look]] = []
        self.learner: Learner | None = None

    def run(self, spy: Callable[[Learner], None] | None = None, **options: Any) -> list[Look]:
        def make_env() -> RepeatEnv:
            self.lines.append(Line())
            return environment(self.lines[-1], self.plan)

        def make_learner(checkpoint: Path | None) -> Learner:
            spec = self.plan.spec(Line())
            if checkpoint is None:
                self.learner = Learner(self.plan.agent, spec, seed=1, device="cpu")
            else:
                self.learner = Learner.load(checkpoint, device="cpu")
            if spy is not None:
                spy(self.learner)
            return self.learner

        def after_look(looks: list[Look]) -> None:
            self.seen.append(list(looks))

        console = Console(quiet=True)
        given = {"save_every_s": 0.0, **options}
        return DmcRun(
            self.plan, self.folder, make_env, make_learner, console, after_look, **given
        ).run()

    def digest(self) -> str:
        """Networks, moments, targets and generators, without the clock."""
        from handful.learn import checkpoint

        tensors, meta = checkpoint.load(self.folder / "checkpoint.safetensors")
        meta["extra"] = {k: v for k, v in meta["extra"].items() if k not in ("train_s", "looks")}
        told = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
        for name in sorted(tensors):
            told.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
        return told.hexdigest()


def numbers(looks: list[Look]) -> list[tuple[Any, ...]]:
    return [(x.env_steps, x.agent_steps, x.episodes, x.updates, x.returns) for x in looks]


def stop_after(steps: int) -> Callable[[Learner], None]:
    """The learner's ``add`` pulls the plug, as SIGTERM would between two steps."""

    def spy(learner: Learner) -> None:
        add = learner.add

        def counted(transition: Any) -> None:
            if learner.env_steps == steps:
                raise Stopped()
            add(transition)

        learner.add = counted  # type: ignore[method-assign]

    return spy


def test_a_run_looks_at_its_marks_and_updates_once_a_decision(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    looks = bench.run(keep_log=True)
    assert [(x.env_steps, x.agent_steps) for x in looks] == [(60, 20), (120, 40), (150, 50)]
    # One a decision after six random ones. The first look is within an episode, where what the last
    # decision owes is still to run beside the next.
    assert [x.updates for x in looks] == [13, 34, 44]
    assert all(len(x.returns) == 2 and x.returns[0] != x.returns[1] for x in looks)
    assert bench.seen[-1] == looks and len(bench.seen) == 3
    train, judge = bench.lines
    assert len(train.pushed) == 150 and len(judge.pushed) == 3 * 2 * 24
    assert len({*train.seeds, *judge.seeds}) == 7 + 3 * 2  # no world is met twice
    assert train.closed and judge.closed
    events = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [e["env_steps"] for e in events if e["kind"] == "check"] == [60, 120, 150]
    assert sum(e["kind"] == "episode" for e in events) == 6
    assert list((tmp_path / "tb").iterdir())
    assert len(list((tmp_path / "episodes").iterdir())) == 7
    assert numbers(bench.run()) == numbers(looks)  # complete: nothing is run again
    assert len(bench.lines) == 2 and not (tmp_path / "episodes").exists()


def test_a_step_s_updates_run_beside_the_next_step(tmp_path: Path) -> None:
    told: list[str] = []

    def spy(learner: Learner) -> None:
        act, add, launch = learner.act, learner.add, learner.launch

        def acting(observation: Any, explore: bool) -> Any:
            told.extend(["act"] * explore)
            return act(observation, explore)

        def launching(progress: Any = None) -> Callable[[], dict[str, float]]:
            owed, metrics = learner.owed(), launch(progress)
            told.extend(["launch"] * (owed > 0))
            return lambda: (told.extend(["asked"] * (owed > 0)), metrics())[1]

        learner.act = acting  # type: ignore[method-assign]
        learner.add = lambda t: (told.append("step"), add(t))[1]  # type: ignore[method-assign]
        learner.launch = launching  # type: ignore[method-assign]

    Bench(tmp_path).run(spy)
    assert "act launch asked step act launch asked step" in " ".join(told)
    assert told[-3:] == ["step", "launch", "asked"]  # and nothing is left owed


def test_evaluations_do_not_disturb_what_is_learned(tmp_path: Path) -> None:
    often = Bench(tmp_path / "often", plan(eval_every_env_steps=15))
    seldom = Bench(tmp_path / "seldom", plan(eval_every_env_steps=150))
    assert len(often.run()) == 10 and len(seldom.run()) == 1
    assert often.digest() == seldom.digest()


def test_a_run_that_was_stopped_ends_bit_for_bit_like_one_that_was_not(tmp_path: Path) -> None:
    whole, broken = Bench(tmp_path / "whole"), Bench(tmp_path / "broken")
    looks = whole.run()
    for steps in (3, 20, 29, 45):  # before the first checkpoint, and in three later episodes
        with pytest.raises(Stopped):
            broken.run(stop_after(steps))
        torn = sorted((tmp_path / "broken/episodes").iterdir())[-1]
        torn.write_bytes(torn.read_bytes()[:-7])  # as kill -9 may leave it
    assert numbers(broken.run()) == numbers(looks)
    assert broken.digest() == whole.digest()
    marks = [
        list(map(json.loads, (b.folder / "curve.jsonl").read_text().splitlines()))
        for b in (whole, broken)
    ]
    timing = {"wall_s", "updates_per_s", "seconds"}
    kept = [[{k: v for k, v in e.items() if k not in timing} for e in events] for events in marks]
    assert kept[0] == kept[1]


def test_another_plan_is_refused_in_the_same_folder(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        Bench(tmp_path).run(stop_after(10))
    with pytest.raises(RunError, match="other settings .*repeat: 3 -> 2"):
        Bench(tmp_path, plan(repeat=2)).run()
    with pytest.raises(RunError, match="go on with --physics installed, give it another --name"):
        Bench(tmp_path, replace(plan(), physics="published")).run()
    told = json.loads((tmp_path / "plan.json").read_text())
    del told["agent"]["contrast"]["double_step"]  # as an older handful would have written it
    (tmp_path / "plan.json").write_text(json.dumps(told))
    assert len(Bench(tmp_path).run()) == 3


def test_a_log_that_lost_an_episode_is_not_learned_from(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(Stopped):
        bench.run(stop_after(30))
    sorted((tmp_path / "episodes").iterdir())[1].unlink()
    with pytest.raises(RunError, match="--overwrite"):
        bench.run()


def test_nonsense_ends_a_run_with_a_sentence(tmp_path: Path) -> None:
    def spy(learner: Learner) -> None:
        learner.launch = lambda progress=None: lambda: {"q_loss": float("nan")}  # type: ignore[method-assign]

    with pytest.raises(RunError, match="q_loss became nan .*diverged"):
        Bench(tmp_path).run(spy)
