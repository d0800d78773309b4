"""Collect, pre-train, train, resume and evaluate, with parts one can do sums with."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from log_kit import assert_same_transition
from workflow_kit import CountingLearner, LineEnv, LineParts, recipe

from handful.rig import edits
from handful.rig.episodes import EpisodeLog, read
from handful.rig.records import scan
from handful.workflow.collect import collect, set_unfinished_aside
from handful.workflow.console import Console
from handful.workflow.curves import read_curve
from handful.workflow.errors import RunError
from handful.workflow.evaluate import evaluate
from handful.workflow.interrupt import Stopped
from handful.workflow.pretrain import make_ready
from handful.workflow.run_folder import RunFolder
from handful.workflow.seeds import Purpose, episode_seed
from handful.workflow.train import train

CONSOLE = Console(quiet=True)


def prepared(tmp_path: Path, *sets: str, wins: int = 10) -> tuple[LineParts, RunFolder]:
    run = RunFolder(tmp_path / "run")
    parts = LineParts(recipe(*sets), wins)
    run.write_config(parts.recipe)
    collect(parts, run, parts.recipe.train.demos, CONSOLE)
    return parts, run


def stored(path: Path) -> set[str]:
    """As what the pictures of a file lie there: image or png."""
    arrays = [name for _, record in scan(path.read_bytes()) for name in record[0]]  # type: ignore[index]
    return {name.partition(".")[0] for name in arrays if "." in name}


class TestCollect:
    def test_failures_are_left_out_and_seeds_are_the_demo_range(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path, "train.demos=12")
        episodes = list(read(run.demos))
        start = episode_seed(Purpose.DEMO, 0, 0)
        # The world whose seed ends in 9 defeats the demonstrator: 13 tries for 12.
        assert [e.info["seed"] - start for e in episodes] == [*range(9), 10, 11, 12]
        assert all(e.demo and e.complete and e.transitions[-1].reward == 1.0 for e in episodes)
        assert all(t.demo for e in episodes for t in e.transitions)
        assert parts.envs[0].closed

    def test_keep_failures(self, tmp_path: Path) -> None:
        run, parts = RunFolder(tmp_path), LineParts(recipe())
        done = collect(parts, run, 10, CONSOLE, keep_failures=True)
        assert (done.demos, done.failed) == (10, 1)
        assert [e.info["success"] for e in read(run.demos)] == [True] * 9 + [False]

    def test_topping_up_goes_on_with_unused_seeds(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        done = collect(parts, run, 5, CONSOLE)
        assert (done.demos, done.new) == (5, 2)
        seeds = [e.info["seed"] for e in read(run.demos)]
        assert len(set(seeds)) == 5
        assert collect(parts, run, 5, CONSOLE).new == 0

    def test_a_demonstration_cut_short_is_made_again(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        before = [e.info["seed"] for e in read(run.demos)]
        last = sorted(run.demos.glob("*.log"))[-1]
        last.write_bytes(last.read_bytes()[:-10])
        collect(parts, run, 3, CONSOLE)
        assert [e.info["seed"] for e in read(run.demos)] == before
        assert all(e.complete for e in read(run.demos))

    def test_pictures_are_stored_as_the_run_says_and_are_the_same(self, tmp_path: Path) -> None:
        _, raw = prepared(tmp_path / "raw")
        parts, png = prepared(tmp_path / "png", "train.pictures=png")
        train(parts, png, CONSOLE)
        for episode, twin in zip(read(png.demos), read(raw.demos), strict=True):
            assert stored(episode.path) == {"png"} and stored(twin.path) == {"image"}
            for a, b in zip(episode.transitions, twin.transitions, strict=True):
                assert_same_transition(a, b)
        assert {kind for e in read(png.episodes) for kind in stored(e.path)} == {"png"}

    def test_a_half_recording_in_the_log_is_kept_apart_with_what_was_said_of_it(
        self, tmp_path: Path
    ) -> None:
        parts, run = prepared(tmp_path)
        last = sorted(run.demos.glob("*.log"))[-1]
        cut = last.read_bytes()[:-10]
        last.write_bytes(cut)
        when = "2026-01-02T03:04:05+00:00"
        edits.write(run.demos, edits.Edit(last.name, 1, "Ada", when, "shaky", reward=0.5))
        torn = run.demos / "episode_000099.log"
        torn.write_bytes(cut[:40])
        collect(parts, run, 3, CONSOLE)
        aside = sorted((run.path / "attempts").glob("*.log"))
        assert [p.read_bytes() for p in aside] == [cut, cut[:40]], "something recorded is lost"
        assert {n: v.reward for n, v in edits.views(run.path / "attempts").items()} == {
            aside[0].name: 0.5
        }
        assert not edits.views(run.demos)[last.name].edits, "a new episode may get that name"
        assert len(list(read(run.demos))) == 3

    def test_what_is_being_recorded_at_this_moment_is_left_alone(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        episode = next(iter(read(run.demos)))
        with EpisodeLog(run.demos, episode.spec) as log:
            path = log.begin(episode.observation, demo=True)
            log.add(replace(episode.transitions[0], last=False))
            assert set_unfinished_aside(run.demos) == [] and path.exists()
        assert [p.exists() for p in set_unfinished_aside(run.demos)] == [True]
        assert not path.exists()

    def test_a_hopeless_demonstrator_is_an_error_not_a_loop(self, tmp_path: Path) -> None:
        class Hopeless(LineParts):
            def demonstrator(self, env: LineEnv, seed: int) -> Any:
                env.seeds.append(9)
                return super().demonstrator(env, seed)

        class Worlds(LineEnv):
            def reset(self, seed: int) -> Any:
                return super().reset(9)

        parts = Hopeless(recipe())
        parts.environment = Worlds  # type: ignore[method-assign,assignment]
        with pytest.raises(RunError, match="failed 21 of 21 times"):
            collect(parts, RunFolder(tmp_path), 3, CONSOLE)


class TestTrain:
    def test_the_loop_records_before_it_learns_and_holds_the_ratio(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        done = train(parts, run, CONSOLE)
        assert (done.reason, done.env_steps, done.updates, done.demos) == ("steps", 40, 80, 3)
        assert sum(len(e.transitions) for e in read(run.episodes)) == 40
        learner = parts.learners[-1]
        assert learner.explored == [True] * 40
        assert learner.demos == 3
        saved = json.loads(run.checkpoint.read_text())
        assert saved["updates"] == 80
        assert saved["extra"]["demos"] == 3
        assert saved["extra"]["recipe"]["task_name"] == "reach"
        kinds = [e["kind"] for e in read_curve(run.curve)]
        assert kinds[0] == "pretrain"
        assert kinds[-1] == "stop"
        assert {"episode", "update", "checkpoint"} <= set(kinds)

    def test_training_worlds_are_the_training_range_each_once(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        train(parts, run, CONSOLE)
        start = episode_seed(Purpose.TRAIN, 0, 0)
        seeds = [e.info["seed"] for e in read(run.episodes)]
        assert seeds == list(range(start, start + len(seeds)))

    def test_success_stops_early(self, tmp_path: Path) -> None:
        parts, run = prepared(
            tmp_path, "train.steps=4000", "train.stop_success=0.9", "train.min_steps=150"
        )
        done = train(parts, run, CONSOLE)
        assert done.reason == "success"
        assert 150 <= done.env_steps < 200
        assert done.rolling_success == 1.0

    def test_failure_does_not(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path, "train.steps=300", "train.stop_success=0.9", wins=7)
        assert train(parts, run, CONSOLE).reason == "steps"

    def test_minutes(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path, "train.minutes=1.0e-6")
        assert train(parts, run, CONSOLE).reason == "minutes"

    def test_checks_use_their_own_world_and_never_reach_the_replay(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path, "train.check_every_steps=15", "train.check_episodes=4")
        done = train(parts, run, CONSOLE)
        learner = parts.learners[-1]
        assert done.env_steps == 40
        assert sum(not demo for _, _, demo in learner.seen) == 40
        checks = [e for e in read_curve(run.curve) if e["kind"] == "check"]
        assert len(checks) == 2
        assert checks[0]["success_rate"] == 1.0
        (check_env,) = [e for e in parts.envs if Purpose.CHECK in e.seeds]
        assert check_env.seeds == [Purpose.CHECK + i for i in range(4)] * 2
        assert check_env.closed
        assert learner.explored.count(True) == 40

    def test_checks_take_none_of_the_time_that_is_told(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path, "train.check_every_steps=15", "train.check_episodes=4")
        make = parts.environment

        def slow() -> LineEnv:
            env = make()
            if len(parts.envs) == 3:  # the first collected, the second trains, the third checks
                reset = env.reset

                def late(seed: int) -> Any:
                    time.sleep(0.2)
                    return reset(seed)

                env.reset = late  # type: ignore[method-assign]
            return env

        parts.environment = slow  # type: ignore[method-assign]
        began_s = time.monotonic()
        done = train(parts, run, CONSOLE)
        took_s = time.monotonic() - began_s
        assert took_s - done.wall_s > 8 * 0.2 - 0.01

    def test_a_check_can_stop_it(self, tmp_path: Path) -> None:
        parts, run = prepared(
            tmp_path,
            "train.check_every_steps=15",
            "train.stop_check_success=0.9",
            "train.steps=900",
        )
        done = train(parts, run, CONSOLE)
        assert done.reason == "check"
        assert done.env_steps < 30

    def test_losses_that_are_not_finite_end_it_the_checkpoint_stays(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        train(parts, run, CONSOLE)
        good = run.checkpoint.read_bytes()
        longer = LineParts(recipe("train.steps=80"))
        load = longer.load

        def poisoned(path: Path) -> tuple[CountingLearner, dict[str, Any]]:
            learner, extra = load(path)
            learner.q_loss = float("nan")
            return learner, extra

        longer.load = poisoned  # type: ignore[method-assign]
        with pytest.raises(RunError, match="q_loss became nan after 82 updates"):
            train(longer, run, CONSOLE)
        assert run.checkpoint.read_bytes() == good

    def test_no_demonstrations_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="no demonstrations; `handful collect"):
            train(LineParts(recipe()), RunFolder(tmp_path / "run"), CONSOLE)


class Killed(BaseException):
    """Stands for kill -9: nothing gets to clean up."""


def killed_after(parts: LineParts, steps: int) -> LineParts:
    """Let the ``steps``-th step of the environment never come back."""
    make = parts.environment

    def fragile() -> LineEnv:
        env = make()
        step, count = env.step, 0

        def counted(action: Any) -> Any:
            nonlocal count
            count += 1
            if count > steps:
                raise Killed
            return step(action)

        env.step = counted  # type: ignore[method-assign]
        return env

    parts.environment = fragile  # type: ignore[method-assign]
    return parts


class TestResume:
    @pytest.mark.parametrize("steps", [1, 7, 10, 25, 39])
    def test_nothing_recorded_is_lost_and_nothing_is_learned_twice(
        self, tmp_path: Path, steps: int
    ) -> None:
        parts, run = prepared(tmp_path)
        with pytest.raises(Killed):
            train(killed_after(parts, steps), run, CONSOLE)
        before = parts.learners[-1]
        again = LineParts(recipe())
        done = train(again, run, CONSOLE)
        after = again.learners[-1]
        assert (done.env_steps, done.updates, done.demos) == (40, 80, 3)
        assert after.seen[: len(before.seen)] == before.seen
        seeds = [e.info["seed"] for e in read(run.episodes)]
        assert len(set(seeds)) == len(seeds)
        noted = [e["seed"] for e in read_curve(run.curve) if e["kind"] == "episode"]
        assert noted == [e.info["seed"] for e in read(run.episodes) if e.complete]

    def test_before_the_first_checkpoint_it_is_the_pretrained_learner(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        with pytest.raises(Killed):
            train(killed_after(parts, 5), run, CONSOLE)
        assert not run.checkpoint.exists()
        again = LineParts(recipe())
        assert make_ready(again, run, again.environment().spec, CONSOLE).origin == "pretrained"

    def test_without_even_that_it_is_pretrained_again(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        with pytest.raises(Killed):
            train(killed_after(parts, 5), run, CONSOLE)
        run.pretrained.unlink()
        again = LineParts(recipe())
        done = train(again, run, CONSOLE)  # CountingLearner.act refuses without pre-training.
        assert (done.env_steps, done.updates) == (40, 80)

    def test_a_finished_run_goes_on_when_it_may_take_more_steps(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        first = train(parts, run, CONSOLE)
        done = train(LineParts(recipe("train.steps=60")), run, CONSOLE)
        assert (done.env_steps, done.updates) == (60, 120)
        assert done.wall_s > first.wall_s
        walls = [e["wall_s"] for e in read_curve(run.curve)]
        assert walls == sorted(walls)

    def test_ctrl_c_saves_and_says_so(self, tmp_path: Path) -> None:
        import signal

        parts, run = prepared(tmp_path)
        make = parts.environment

        def impatient() -> LineEnv:
            env = make()
            step = env.step

            def stepped(action: Any) -> Any:
                if sum(not demo for _, _, demo in parts.learners[-1].seen) == 13:
                    signal.raise_signal(signal.SIGINT)
                return step(action)

            env.step = stepped  # type: ignore[method-assign]
            return env

        parts.environment = impatient  # type: ignore[method-assign]
        before = signal.getsignal(signal.SIGINT)  # a shell's background jobs are born ignoring it
        with pytest.raises(Stopped) as stopped:
            train(parts, run, CONSOLE)
        assert stopped.value.code == 130
        assert json.loads(run.checkpoint.read_text())["env_steps"] == 14
        assert signal.getsignal(signal.SIGINT) is before
        done = train(LineParts(recipe()), run, CONSOLE)
        assert (done.env_steps, done.updates) == (40, 80)

    def test_a_checkpoint_of_other_settings_is_refused(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        train(parts, run, CONSOLE)
        other = LineParts(recipe("agent.batch_size=99"))
        with pytest.raises(RunError, match=r"agent.batch_size: \d+ -> 99"):
            train(other, run, CONSOLE)


class TestEvaluate:
    def test_it_only_acts_and_only_in_unseen_worlds(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path, wins=8)
        train(parts, run, CONSOLE)
        log = [p.read_bytes() for p in sorted(run.episodes.glob("*.log"))]
        judge = LineParts(parts.recipe)
        result = evaluate(run.path, 30, 4, CONSOLE, films=False, opener=judge.open)
        learner = judge.learners[-1]
        assert learner.seen == []
        assert (learner.begun, learner.updates) == (0, 80)
        assert set(learner.explored) == {False}
        start = episode_seed(Purpose.TEST, 4, 0)
        assert judge.envs[0].seeds == list(range(start, start + 30))
        assert judge.envs[0].closed
        used = {e.info["seed"] for folder in (run.demos, run.episodes) for e in read(folder)}
        assert not used & set(judge.envs[0].seeds)
        assert [p.read_bytes() for p in sorted(run.episodes.glob("*.log"))] == log
        assert 0.0 < result["success_rate"] < 1.0

    def test_the_numbers_are_those_of_the_world(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path, wins=8)
        train(parts, run, CONSOLE)
        judge = LineParts(parts.recipe)
        result = evaluate(run.path, 30, 4, CONSOLE, films=False, opener=judge.open)
        won = [seed % 97 % 10 < 8 for seed in judge.envs[0].seeds]
        lengths = [3 + s % 5 if w else 12 for s, w in zip(judge.envs[0].seeds, won, strict=True)]
        assert result["outcomes"] == won
        assert result["lengths"] == lengths
        assert result["success_rate"] == sum(won) / 30
        assert result["success_low"] < result["success_rate"] < result["success_high"]
        expected = {"task": "reach", "seed": 0, "demos": 3, "env_steps": 40, "updates": 80}
        assert {key: result[key] for key in expected} == expected
        keys = [
            "wall_s",
            "updates_per_s",
            "env_steps_per_s",
            "episodes",
            "commit",
            "machine",
            "versions",
        ]
        assert all(key in result for key in keys)
        assert json.loads(run.result.read_text()) == json.loads(json.dumps(result))

    def test_no_checkpoint_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="holds no checkpoint.safetensors"):
            evaluate(tmp_path, 5, 0, CONSOLE)
        with pytest.raises(RunError, match="no such checkpoint file or run folder"):
            evaluate(tmp_path / "nothing.safetensors", 5, 0, CONSOLE)


class TestRunFolder:
    def test_settings_that_would_make_it_untrue_are_refused(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        run.check_settings(recipe("train.steps=999"))
        run.check_settings(recipe("agent.batch_size=99"))
        with pytest.raises(RunError, match=r"rig.observe.max_arm_age_s: 0.1 -> 0.4"):
            run.check_settings(recipe("rig.observe.max_arm_age_s=0.4"))
        with pytest.raises(RunError, match="seed: 0 -> 1"):
            run.check_settings(recipe(seed=1))
        train(parts, run, CONSOLE)
        run.check_settings(recipe("train.steps=999"))
        with pytest.raises(RunError, match="--overwrite to start this one afresh"):
            run.check_settings(recipe("agent.batch_size=99"))

    def test_one_process_at_a_time(self, tmp_path: Path) -> None:
        run = RunFolder(tmp_path)
        sentence = r"another handful process \(pid \d+\)"
        with run.lock(), pytest.raises(RunError, match=sentence), run.lock():
            pass
        with run.lock():
            pass

    def test_clear_leaves_what_is_not_ours(self, tmp_path: Path) -> None:
        parts, run = prepared(tmp_path)
        train(parts, run, CONSOLE)
        (run.path / "notes.txt").write_text("mine")
        run.clear()
        assert sorted(p.name for p in run.path.iterdir()) == ["notes.txt"]

    def test_move_aside_keeps_one(self, tmp_path: Path) -> None:
        run = RunFolder(tmp_path / "demo")
        assert run.move_aside() is None
        for text in ("first", "second"):
            run.path.mkdir()
            (run.path / "text").write_text(text)
            run.move_aside()
        assert (tmp_path / "demo.previous" / "text").read_text() == "second"
        assert not run.path.exists()
