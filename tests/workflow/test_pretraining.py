"""What a run learns from before it moves: roles, refusals, play, held-out ground, the verdict."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from workflow_kit import SPEC, CountingLearner, LineParts, recipe

from handful.cli import cli
from handful.config import ConfigError
from handful.contract import Observation, Spec, Transition
from handful.rig import edits
from handful.rig.episodes import EpisodeLog, read
from handful.rig.observe import Observer
from handful.workflow import held_out, sight
from handful.workflow.collect import collect
from handful.workflow.console import Console
from handful.workflow.data.sessions import DataError
from handful.workflow.errors import RunError
from handful.workflow.play import Wanderer, play
from handful.workflow.pretrain import check_extra, make_ready
from handful.workflow.recipe import Options, resolve
from handful.workflow.run_folder import RunFolder
from handful.workflow.seeds import Purpose, episode_seed
from handful.workflow.sources import Given, Sources, gather, parse, remember, role_of
from handful.workflow.train import train

CONSOLE = Console(quiet=True)


def a_run(tmp_path: Path, *sets: str) -> tuple[LineParts, RunFolder]:
    run, parts = RunFolder(tmp_path / "run"), LineParts(recipe(*sets))
    run.write_config(parts.recipe)
    return parts, run


def session(
    folder: Path,
    well: bool = True,
    demo: bool = True,
    source: str | None = None,
    spec: Spec = SPEC,
    steps: int = 3,
    seed: int = 5,
    info: dict[str, Any] | None = None,
) -> Path:
    """One recorded episode."""

    def seen(k: int) -> Observation:
        shape = (spec.height_px, spec.width_px, 3 * spec.frame_stack)
        images = {name: np.full(shape, seed, np.uint8) for name in spec.cameras}
        return Observation(images, np.full(spec.state_dim, 0.1 * k, np.float32), float(k))

    meta = {"source": source, "task": "reach"} if source else {"task": "reach"}
    with EpisodeLog(folder, spec, meta) as log:
        path = log.begin(seen(0), demo=demo, info={"seed": seed})
        for k in range(1, steps + 1):
            last = k == steps
            won = last and well
            log.add(
                Transition(
                    np.zeros(spec.action_dim, np.float32),
                    float(won),
                    0.0 if won else 1.0,
                    seen(k),
                    last,
                    demo,
                    info or {},
                )
            )
    return path


class TestRoles:
    @pytest.mark.parametrize(
        ("well", "demo", "source", "asked", "role"),
        [
            (True, True, "script", None, "demonstration"),
            (True, True, "teleoperation", None, "demonstration"),
            (False, True, "teleoperation", None, "failed"),
            (True, False, "policy", None, "policy"),
            (False, False, "policy", None, "failed"),
            (True, False, "play", None, "play"),
            (False, False, "play", None, "play"),
            (True, False, "policy", "demonstration", "demonstration"),
            (False, False, "play", "demonstration", "failed"),
            (True, True, "script", "play", "play"),
        ],
    )
    def test_an_episode_says_what_it_is_unless_somebody_says_otherwise(
        self, tmp_path: Path, well: bool, demo: bool, source: str, asked: str | None, role: str
    ) -> None:
        session(tmp_path, well, demo, source)
        assert role_of(next(iter(read(tmp_path))), asked) == role

    def test_nothing_failed_is_cloned_or_kept_as_shown(self, tmp_path: Path) -> None:
        parts, run = a_run(tmp_path)
        collect(parts, run, 10, CONSOLE, keep_failures=True)
        edits.write(
            run.demos, edits.Edit("episode_000000.log", 3, "Ada", "2026-01-02", success=False)
        )
        ready = make_ready(parts, run, SPEC, CONSOLE)
        assert isinstance(ready.learner, CountingLearner)
        assert (ready.demos, ready.learner.demos) == (8, 8), "a failure entered the demo half"
        (gallery,) = ready.learner.galleries
        failed = [e for e in read(run.demos) if e.transitions[-1].reward == 0.0]
        assert len(failed) == 2
        assert len(gallery) == sum(len(e.transitions) + 1 for e in failed)

    def test_sessions_elsewhere_are_remembered_and_training_wants_no_others(
        self, tmp_path: Path
    ) -> None:
        parts, run = a_run(tmp_path)
        for k in range(2):
            session(tmp_path / "people", source="teleoperation", seed=k)
        session(tmp_path / "wander", demo=False, source="play")
        remember(run, [Given(tmp_path / "people"), Given(tmp_path / "wander")])
        done = train(parts, run, CONSOLE)
        learner = parts.learners[-1]
        assert (done.demos, learner.demos, len(learner.galleries[0])) == (2, 2, 4)
        again = LineParts(parts.recipe)
        assert make_ready(again, run, SPEC, CONSOLE).demos == 2, "a resumed run lost its sources"

    def test_the_table_says_what_serves_for_what(self, tmp_path: Path) -> None:
        _, run = a_run(tmp_path)
        session(run.demos, source="script")
        session(run.demos, well=False, source="script", steps=7)
        session(run.play, demo=False, source="play", steps=5)
        rows = gather(run).rows()
        assert [(r["role"], r["contrast"], r["cloning"], r["demo half"]) for r in rows] == [
            ("demonstration", 3, 3, 3),
            ("failed", 7, 0, 0),
            ("play", 5, 0, 0),
        ]
        lines = gather(run).table().splitlines()
        assert len(lines) == 4 and lines[0].startswith("session")
        assert len({len(line) for line in lines}) == 1

    def test_an_episode_that_is_named_twice_counts_once(self, tmp_path: Path) -> None:
        _, run = a_run(tmp_path)
        session(run.demos, source="script")
        remember(run, [Given(run.demos)])
        assert len(gather(run).episodes) == 1

    def test_a_role_that_is_none(self) -> None:
        assert parse("play=data/monday") == Given(Path("data/monday"), "play")
        assert parse("data/monday") == Given(Path("data/monday"))
        with pytest.raises(DataError, match="'plya' is no role; there are: demonstration, play"):
            parse("plya=data/monday")


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"cameras": ("third",)}, "--set 'agent.cameras=\\[third\\]'"),
            ({"cameras": ("third", "head")}, "has the cameras third, head.*--rig FILE.yaml"),
            ({"height_px": 16, "width_px": 16}, "height_px is 16, expected 8.*record again"),
            ({"action_dim": 5}, "actions of 5 numbers, expected 4.*leave this session out"),
            ({"frame_stack": 3}, "agent.frame_stack=3"),
        ],
    )
    def test_another_spec_with_the_way_out(
        self, tmp_path: Path, change: dict[str, Any], says: str
    ) -> None:
        _, run = a_run(tmp_path)
        session(run.demos, source="script")
        session(tmp_path / "other", spec=replace(SPEC, **change))
        remember(run, [Given(tmp_path / "other")])
        with pytest.raises(DataError, match=says) as error:
            gather(run, SPEC)
        assert "\n" not in str(error.value) and "episode_000000.log" in str(error.value)

    def test_half_written(self, tmp_path: Path) -> None:
        _, run = a_run(tmp_path)
        path = session(tmp_path / "torn", source="teleoperation")
        path.write_bytes(path.read_bytes()[:-10])
        remember(run, [Given(tmp_path / "torn")])
        with pytest.raises(DataError, match="half-written.*handful data check --repair"):
            gather(run, SPEC)

    def test_being_written(self, tmp_path: Path) -> None:
        _, run = a_run(tmp_path)
        first = next(iter(read(session(tmp_path / "a").parent)))
        with EpisodeLog(tmp_path / "now", SPEC) as log:
            log.begin(first.observation, demo=True)
            log.add(replace(first.transitions[0], last=False))
            remember(run, [Given(tmp_path / "now")])
            with pytest.raises(DataError, match="is being written at this moment"):
                gather(run, SPEC)

    def test_empty_and_gone(self, tmp_path: Path) -> None:
        _, run = a_run(tmp_path)
        (tmp_path / "empty").mkdir()
        remember(run, [Given(tmp_path / "empty")])
        with pytest.raises(DataError, match="holds no episodes"):
            gather(run, SPEC)
        remember(run, [Given(tmp_path / "gone")])
        with pytest.raises(DataError, match="no such session"):
            gather(run, SPEC)

    def test_demonstrations_that_all_failed(self, tmp_path: Path) -> None:
        parts, run = a_run(tmp_path)
        session(run.demos, well=False, source="teleoperation")
        with pytest.raises(RunError, match="none of 1 recorded attempts.*data relabel"):
            make_ready(parts, run, SPEC, CONSOLE)

    def test_refused_sessions_are_not_remembered(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        words = ["pretrain", "--task", "reach", "--run", str(run)]
        said = CliRunner().invoke(cli, [*words, "--sessions", f"play={tmp_path / 'gone'}"])
        assert said.exit_code != 0
        assert not (run / "sources.json").exists()


class TestNothingShown:
    def test_without_demonstrations_only_when_none_were_asked_for(self, tmp_path: Path) -> None:
        parts, run = a_run(tmp_path, "train.demos=0")
        session(run.play, demo=False, source="play")
        ready = make_ready(parts, run, SPEC, CONSOLE)
        assert ready.demos == 0 and len(ready.learner.galleries[0]) == 4

    def test_with_nothing_at_all_the_learner_is_as_it_was_drawn(self, tmp_path: Path) -> None:
        parts, run = a_run(tmp_path, "train.demos=0")
        ready = make_ready(parts, run, SPEC, CONSOLE)
        assert not ready.learner.pretrained and run.pretrained.exists()


class TestPlay:
    def test_is_recorded_topped_up_and_meant_by_nobody(self, tmp_path: Path) -> None:
        parts, run = a_run(tmp_path)
        assert play(parts, run, 2, CONSOLE).new == 2
        assert (done := play(parts, run, 3, CONSOLE)).new == 1 and done.demos == 3
        found = list(read(run.play))
        start = episode_seed(Purpose.PLAY, 0, 0)
        assert [e.info["seed"] - start for e in found] == [0, 1, 2]
        assert not any(t.demo for e in found for t in e.transitions)
        assert all(e.complete for e in found)
        assert {one.role for one in gather(run).episodes} == {"play"}

    def test_wandering_is_smooth_bounded_and_goes_everywhere(self) -> None:
        actor = Wanderer(4, 3)
        actions = np.array([actor.act() for _ in range(400)])
        assert np.abs(actions).max() <= 1.0 and actions.dtype == np.float32
        assert np.abs(np.diff(actions, axis=0)).max() <= 0.8 + 1e-6
        assert (actions.min(0) < -0.5).all() and (actions.max(0) > 0.5).all()
        assert actions[:, 2].mean() < -0.1, "things lie below"


class TestCloningAlone:
    def test_no_step_is_taken_and_the_clone_is_what_is_evaluated(self, tmp_path: Path) -> None:
        of = resolve(Options(task="reach", agent="bc", sets=("train.demos=3",)))
        assert of.train.steps == 0
        parts, run = LineParts(of), RunFolder(tmp_path / "run")
        run.write_config(of)
        collect(parts, run, 3, CONSOLE)
        done = train(parts, run, CONSOLE)
        assert (done.reason, done.env_steps, done.updates, done.demos) == ("steps", 0, 0, 3)
        assert run.checkpoint.is_file()

    def test_steps_for_it_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="clones and nothing else"):
            resolve(Options(task="reach", agent="bc", sets=("train.steps=100",)))

    def test_another_agent_in_its_place_has_its_steps_again(self) -> None:
        of = resolve(Options(task="reach", agent="bc")).to_dict()
        assert resolve(Options(agent="frozen"), of).train.steps == 3000
        assert resolve(Options(), of).train.steps == 0

    @pytest.mark.parametrize(
        ("key", "says"),
        [
            ("agent.clone.proposal=true", "clone.only needs clone.proposal: false"),
            ("agent.clone.init_actor=false", "clone.only needs clone.init_actor: true"),
            ("agent.actor.layer_norm=true", "clone.only needs actor.layer_norm: false"),
        ],
    )
    def test_what_would_not_be_the_clone_is_refused(self, key: str, says: str) -> None:
        with pytest.raises(ConfigError, match=says):
            resolve(Options(task="reach", agent="bc", sets=(key,)))

    def test_a_clone_that_nothing_trains_is_refused(self) -> None:
        sets = ("agent.pretrain.updates=0",)
        with pytest.raises(ConfigError, match="leaves a policy that nothing has trained"):
            resolve(Options(task="reach", agent="bc_lean", sets=sets))


def test_a_checkpoint_from_before_there_was_a_key_is_still_of_these_settings(
    tmp_path: Path,
) -> None:
    of = recipe()
    old = of.to_dict()
    del old["agent"]["pretrain"]["unlabelled_share"]
    check_extra(tmp_path / "x", {"recipe": old}, of)
    other = recipe("agent.pretrain.unlabelled_share=0.25")
    with pytest.raises(RunError, match="unlabelled_share: 0.5 -> 0.25"):
        check_extra(tmp_path / "x", {"recipe": old}, other)


class TestHeldOut:
    def told(self, folder: Path, count: int = 4) -> Path:
        for k in range(count):
            place = {f"true_cube_{axis}_m": 0.1 * k + 0.01 * n for n, axis in enumerate("xyz")}
            place |= {f"true_tray_{axis}_m": 0.3 for axis in "xyz"}
            session(folder, source="held out", seed=100 + k, info=place)
        return folder

    def test_things_that_move_are_known_and_the_others_are_left_out(self, tmp_path: Path) -> None:
        found = held_out.read([self.told(tmp_path / "h")], SPEC, Sources((), None), recipe().rig)
        assert len(found.observations) == 12 and found.knows_things
        assert list(found.places)[0] == "cube" and "tray" not in found.places
        assert found.places["cube"][-1] == pytest.approx([0.3, 0.31, 0.32])
        # The action that belongs to a moment is the next one; the last moment has none.
        assert np.isnan(found.actions[2]).all() and np.isfinite(found.actions[1]).all()

    def test_old_sessions_tell_only_where_the_tool_was(self, tmp_path: Path) -> None:
        rig = recipe().rig
        wide = replace(SPEC, state_dim=Observer(rig).spec.state_dim)
        for k in range(3):
            session(tmp_path / "old", spec=wide, seed=k)
        found = held_out.read([tmp_path / "old"], wide, Sources((), None), rig)
        assert list(found.places) == ["tool"] and not found.knows_things
        middle = 0.5 * (np.array(rig.guard.workspace_min_m) + np.array(rig.guard.workspace_max_m))
        half = np.array(rig.guard.workspace_max_m) - middle
        assert found.places["tool"][0] == pytest.approx(middle + 0.1 * half, abs=1e-6)

    def test_what_is_learned_from_measures_nothing(self, tmp_path: Path) -> None:
        _, run = a_run(tmp_path)
        for k in range(3):
            session(run.demos, source="script", seed=k)
        learned = gather(run)
        with pytest.raises(DataError, match="is learned from as well.*handful data split"):
            held_out.read([run.demos], SPEC, learned, recipe().rig)
        for k in range(3):  # other files, the same worlds
            session(tmp_path / "again", source="script", seed=k)
        with pytest.raises(DataError, match="is learned from as well"):
            held_out.read([tmp_path / "again"], SPEC, learned, recipe().rig)

    def test_too_few(self, tmp_path: Path) -> None:
        self.told(tmp_path / "h", count=2)
        with pytest.raises(DataError, match="2 held-out episodes; at least 3"):
            held_out.read([tmp_path / "h"], SPEC, Sources((), None), recipe().rig)

    def test_the_twin_records_its_own(self, tmp_path: Path) -> None:
        parts, run = a_run(tmp_path)
        held_out.record(parts, run)
        seeds = [e.info["seed"] for e in read(run.held_out)]
        start = episode_seed(Purpose.PROBE, 0, 0)
        assert seeds == list(range(start, start + held_out.EPISODES))
        held_out.record(parts, run)
        assert len(list(read(run.held_out))) == held_out.EPISODES


def measured(**changes: Any) -> sight.Sight:
    values: dict[str, Any] = {
        "episodes": 12,
        "frames": 300,
        "source": "h",
        "probes": {"cube": sight.Probe(0.03, 0.12, 0.08)},
        "hits": 0.8,
        "untrained_hits": 0.02,
        "batch": 64,
        "near_m": 0.02,
        "random_m": 0.14,
        "clone_error": 0.1,
        "clone_mean": 0.5,
    }
    return sight.Sight(**(values | changes))


class TestVerdict:
    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({}, "good"),
            ({"probes": {"cube": sight.Probe(0.058, 0.12, 0.08)}}, "doubtful"),
            ({"probes": {"cube": sight.Probe(0.10, 0.12, 0.11)}}, "bad"),
            ({"probes": {"cube": sight.Probe(0.03, 0.12, 0.02)}}, "bad"),
            ({"hits": 0.4}, "doubtful"),
            ({"hits": 0.02}, "bad"),
            ({"hits": None}, "good"),
            ({"blind": ("wrist",)}, "bad"),
            ({"probes": {"tool": sight.Probe(0.01, 0.12, 0.08)}}, "doubtful"),
            ({"probes": {}}, "doubtful"),
        ],
    )
    def test_by_the_stated_rules(self, changes: dict[str, Any], word: str) -> None:
        found, reasons = sight.verdict(measured(**changes))
        assert found == word and all(reasons)

    def test_a_covered_camera_is_seen_through_its_noise(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)

        def seen(k: int) -> Observation:
            noise = rng.integers(0, 12, (64, 64, 3), dtype=np.uint8)
            scene = noise.copy()
            scene[:, 2 * k : 2 * k + 16] += 120  # a thing that moves
            return Observation({"third": scene, "wrist": noise}, np.zeros(2, np.float32), 0.0)

        moments = [seen(k) for k in range(20)]
        nothing = np.zeros((20, 4))
        ground = held_out.HeldOut(moments, np.arange(20), {}, nothing, "h")
        assert sight.blind_cameras(ground) == ["wrist"]

    def test_the_worst_thing_decides_and_the_tool_does_not(self) -> None:
        probes = {
            "cube": sight.Probe(0.03, 0.12, 0.08),
            "tray": sight.Probe(0.11, 0.12, 0.115),
            "tool": sight.Probe(0.12, 0.12, 0.12),
        }
        assert sight.verdict(measured(probes=probes))[0] == "bad"
        del probes["tray"]
        assert sight.verdict(measured(probes=probes))[0] == "good"
        json.dumps(measured(probes=probes).to_dict())

    def test_the_probe_tells_a_line_and_the_mean_does_not(self) -> None:
        rng = np.random.default_rng(0)
        latents = rng.standard_normal((60, 5)).astype(np.float32)
        episodes = np.repeat(np.arange(6), 10)
        places = latents[:, :3].astype(np.float64) * 0.1 + 0.4
        assert sight._error_m(latents, places, episodes) < 0.01
        assert sight._error_m(None, places, episodes) > 0.1
        near, other = sight.retrieval_m(latents, places, episodes)
        assert near < other
