"""Learned rewards from end to end: sessions to a file, numbers, page, and learning by it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from handful.cli import cli
from handful.config import ConfigError
from handful.contract import Observation, Spec, Transition
from handful.learn import success
from handful.learn.success import Bank
from handful.learn.success_settings import SuccessSettings
from handful.rig import edits
from handful.rig.episodes import EpisodeLog
from handful.workflow.errors import RunError
from handful.workflow.parts import Parts
from handful.workflow.recipe import Options, resolve
from handful.workflow.reward_data import hold_out, open_sessions, to_bank
from handful.workflow.reward_metrics import THRESHOLDS, Row, at_threshold, choose, sweep
from handful.workflow.reward_sources import make_source, rates_of, tell_drift
from tests.success_kit import SPEC, observation, profile, session

QUICK = (
    "contrast_updates=2",
    "heads=2",
    "hidden_dim=16",
    "updates=120",
    "batch_size=16",
    "views=2",
)
QUICK += ("positive_steps=4", "hold_steps=3")


def handful(*words: Any) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="handful")


def refused(*words: Any) -> str:
    result = handful(*words)
    assert result.exit_code == 2, (result.output, result.exception)
    lines = [line for line in result.stderr.splitlines() if line.startswith("handful: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def quick(folder: Path) -> list[str]:
    words = [f"success.encoder={profile(folder)}", *(f"success.{one}" for one in QUICK)]
    return [part for word in words for part in ("--set", word)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: Any) -> Path:
    """A folder with sessions and a trained classifier."""
    folder = tmp_path_factory.mktemp("reward")
    session(folder / "train", ["won"] * 8 + ["lost"] * 8)
    session(folder / "new", ["won"] * 3 + ["lost"] * 3, 100)
    session(folder / "fooled", ["fooled"] * 8, 200)
    out = folder / "success.safetensors"
    result = handful(
        "reward", "train", folder / "train", "--out", out, "--json", folder / "train.json",
        *quick(folder),
    )  # fmt: skip
    assert result.exit_code == 0, (result.output, result.exception)
    assert "0 of 2 failures called success" in result.output
    return folder


class TestCommands:
    def test_numbers_and_page(self, made: Path) -> None:
        numbers = json.loads((made / "train.json").read_text())
        chosen = numbers["chosen"]
        assert chosen["false_episodes"] == chosen["early"] == 0
        assert chosen["successes"] == 2 and chosen["failures"] == 2  # a quarter of 8 and of 8
        assert chosen["recall"] > 0.9 and chosen["episode_fp_rate"] == 0.0
        assert len(numbers["sweep"]) == len(THRESHOLDS)
        page = (made / "success.html").read_text()
        assert "<svg" in page and "Worst false positives" in page and "Thresholds" in page
        assert "http" not in page.replace("http://www.w3.org", "")

    def test_the_file_says_what_it_is(self, made: Path) -> None:
        about = success.load(made / "success.safetensors").about
        assert about["tasks"] == ["lamp"] and about["version"] and about["commit"]
        assert about["sessions"] == [str(made / "train")]

    def test_on_other_sessions(self, made: Path) -> None:
        words = ("reward", "evaluate", made / "success.safetensors", made / "new")
        result = handful(*words, "--json", "-", "--page", made / "new.html")
        assert result.exit_code == 0, result.output
        numbers = json.loads(result.stdout)
        assert numbers["chosen"]["missed"] == 0 and numbers["chosen"]["false_episodes"] == 0
        assert numbers["unusual_share"] < 0.2 and not numbers["notes"]

    def test_it_says_when_it_has_seen_them(self, made: Path) -> None:
        page = ("--page", made / "seen.html")
        result = handful("reward", "evaluate", made / "success.safetensors", made / "train", *page)
        assert "16 of these episodes were in its training" in result.output

    def test_a_threshold_can_be_written(self, made: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy.safetensors"
        classifier = success.load(made / "success.safetensors")
        classifier.threshold = 0.001
        classifier.save(copy)
        result = handful("reward", "sweep", copy, made / "new", "--write")
        assert "by the rule" in result.output and result.exit_code == 0
        assert success.load(copy).threshold > 0.01

    def test_mining_mends_what_fooled_it(self, made: Path, tmp_path: Path) -> None:
        out = tmp_path / "mined.safetensors"
        words = ("reward", "mine", made / "success.safetensors", made / "fooled", "--out", out)
        result = handful(*words, "--json", tmp_path / "mine.json")
        assert result.exit_code == 0, (result.output, result.exception)
        numbers = json.loads((tmp_path / "mine.json").read_text())
        before, after = numbers["before"], numbers["after"]
        assert before["failures"] == after["failures"] == 4  # the half that was not mined
        assert numbers["added"] > 0 and before["false_frames"] > after["false_frames"]
        mined = success.load(out)
        assert mined.about["mined"] == [str(made / "fooled")]
        assert (mined.bank.weights > 1.0).sum() == numbers["added"]
        assert "has seen episodes of these sessions already" in refused(
            "reward", "mine", out, made / "fooled", "--out", tmp_path / "again.safetensors"
        )

    def test_an_eye_can_be_given(self, made: Path) -> None:
        assert "holds no checkpoint" in refused(
            *("reward", "train", made / "train", "--out", made / "x.safetensors"),
            *("--encoder", made / "train"),
        )


class TestRefused:
    def test_nothing_there(self, tmp_path: Path) -> None:
        out = ("--out", tmp_path / "x.safetensors")
        assert "no such session" in refused("reward", "train", tmp_path / "none", *out)

    def test_only_failures(self, tmp_path: Path) -> None:
        lost = session(tmp_path / "lost", ["lost"] * 3)
        words = ("reward", "train", lost, "--out", tmp_path / "x.safetensors", *quick(tmp_path))
        assert "no frame that is learned from shows success; record successful" in refused(*words)
        assert not (tmp_path / "x.safetensors").exists()

    def test_other_cameras(self, made: Path, tmp_path: Path) -> None:
        both = Spec(("third", "wrist"), 16, 16, 1, 2, 4)
        other = session(tmp_path / "other", ["lost"], spec=both)
        said = refused("reward", "evaluate", made / "success.safetensors", other)
        assert "was trained on other pictures: cameras third, here are third, wrist" in said

    def test_another_crop(self, made: Path, tmp_path: Path) -> None:
        sizes = [{"third": {"width_px": 640, "crop_px": crop}} for crop in (None, [0, 0, 9, 9])]
        first = session(tmp_path / "a", ["won"], rig={"cameras": sizes[0]})
        second = session(tmp_path / "b", ["won"], rig={"cameras": sizes[1]})
        said = refused("reward", "train", first, second, "--out", tmp_path / "x.safetensors")
        assert "another size or crop" in said

    def test_words(self, made: Path, tmp_path: Path) -> None:
        train = ("reward", "train", made / "train")
        assert "ends in .safetensors" in refused(*train, "--out", tmp_path / "x.pt")
        out = ("--out", tmp_path / "x.safetensors")
        assert "there is: success" in refused(*train, *out, "--set", "agent.lr=1")
        assert "did you mean 'heads'" in refused(*train, *out, "--set", "success.head=1")
        text = tmp_path / "text.safetensors"
        text.write_text("no")
        assert "not a whole safetensors file" in refused("reward", "sweep", text, made / "new")

    def test_learning_by_a_file_of_another_cell(self, made: Path) -> None:
        recipe = resolve(
            Options(
                "reach",
                sets=("reward.by=learned", f"reward.file={made / 'success.safetensors'}"),
            )
        )
        with pytest.raises(RunError, match="other pictures: cameras third, here are third, wrist"):
            Parts(recipe).learning_environment()

    def test_nobody_is_there_to_press_a_button(self) -> None:
        with pytest.raises(ConfigError, match="needs a person at the arm"):
            Parts(resolve(Options("reach", sets=("reward.by=operator",)))).learning_environment()


class TestData:
    def test_people_have_the_last_word(self, made: Path, tmp_path: Path) -> None:
        folder = session(tmp_path / "said", ["won", "won", "lost"])
        file = "episode_000001.log"
        edits.write(folder, edits.Edit(file, 15, "ada", "2026-01-01T00:00:00Z", success=False))
        eye = success.load(made / "success.safetensors").eye
        bank = to_bank(open_sessions([folder]), eye, SuccessSettings(positive_steps=4), 1, 0)
        assert bank.wins == [True, False, False]
        assert bank.labels[:16].tolist() == [0] * 10 + [-1] * 2 + [1] * 4
        assert not bank.labels[16:].any()

    def test_a_classifier_does_not_learn_from_itself(self, tmp_path: Path) -> None:
        with EpisodeLog(tmp_path / "own", SPEC) as log:
            for word in ("", "ada"):
                log.begin(observation(np.zeros((16, 16, 3), np.uint8), 0))
                seen = observation(np.zeros((16, 16, 3), np.uint8), 1)
                info = {"judge": "learned", "said_by": word}
                log.add(Transition(np.zeros(4, np.float32), 1.0, 0.0, seen, True, info=info))
        sessions = open_sessions([tmp_path / "own"])
        assert len(list(sessions.episodes())) == 1
        assert "1 episodes left out: judged by a classifier" in sessions.notes[0]

    def test_a_split_parts_episodes_of_both_kinds(self) -> None:
        bank = toy([True] * 8 + [False] * 4, [0.5] * 12)
        held = hold_out(bank, 0.25, 0)
        chosen = {int(k) for k in np.unique(bank.episodes[held])}
        assert len(chosen & set(range(8))) == 2 and len(chosen - set(range(8))) == 1
        assert all(held[bank.episodes == k].all() for k in chosen)
        assert not hold_out(toy([True], [0.5]), 0.25, 0).any()  # never the only one


def toy(wins: list[bool], peaks: list[float]) -> Bank:
    """Episodes of six frames: the last three are success where they won; latents hold scores."""
    n = len(wins)
    scores = np.concatenate([[0.0, 0.0, 0.0, p, p, p] for p in peaks])
    labels = np.concatenate([[0, 0, 0, 1, 1, 1] if w else [0] * 6 for w in wins])
    episodes = np.repeat(np.arange(n, dtype=np.int32), 6)
    return Bank(
        scores.astype(np.float16).reshape(-1, 1, 1), np.zeros((6 * n, 1), np.float32),
        labels.astype(np.int8), episodes, np.zeros(6 * n, bool), np.ones(6 * n, np.float32),
        [str(k) for k in range(n)], wins,
    )  # fmt: skip


class TestMetrics:
    S = SuccessSettings(hold_steps=3, hysteresis=1.0, dead_steps=0)

    def rows(self, wins: list[bool], peaks: list[float]) -> tuple[Bank, list[Row]]:
        bank = toy(wins, peaks)
        return bank, sweep(bank, bank.latents[:, 0, 0].astype(np.float32), self.S)

    def test_by_hand(self) -> None:
        bank = toy([True, True, False], [0.9, 0.4, 0.6])
        found = at_threshold(bank, bank.latents[:, 0, 0].astype(np.float32), 0.5, self.S)
        assert (found.true_frames, found.missed_frames) == (3, 3)
        assert (found.false_frames, found.right_frames) == (3, 9)
        assert (found.false_episodes, found.missed, found.early) == (1, 1, 0)
        assert (found.precision, found.recall) == (0.5, 0.5)
        assert found.to_dict()["frame_fp_rate"] == 0.25

    def test_a_claim_before_its_time_is_wrong(self) -> None:
        bank = toy([True], [0.9])
        scores = np.array([0.0, 0.9, 0.9, 0.9, 0.9, 0.9], np.float32)
        bank.labels[:] = [0, 0, 0, 0, -1, 1]
        assert at_threshold(bank, scores, 0.5, self.S).early == 1

    def test_a_recording_ends_where_life_goes_on(self) -> None:
        bank = toy([True, False], [0.0, 0.0])
        scores = np.array([0, 0, 0, 0, 0.9, 0.9] * 2, np.float32)
        lasting = self.S.model_copy(update={"dead_steps": 1})
        assert at_threshold(bank, scores, 0.5, self.S).missed == 1
        found = at_threshold(bank, scores, 0.5, lasting)
        assert (found.missed, found.false_episodes) == (0, 0)

    def test_the_rule(self) -> None:
        _, rows = self.rows([True, True, False], [0.9, 0.8, 0.6])
        chosen = choose(rows)
        assert (chosen.wrong, chosen.missed) == (0, 0)
        assert 0.68 <= chosen.threshold <= 0.74  # the middle between 0.6 and 0.8

    def test_wrong_is_worse_than_missed(self) -> None:
        _, rows = self.rows([True, False], [0.5, 0.7])
        chosen = choose(rows)
        assert (chosen.wrong, chosen.missed) == (0, 1) and chosen.threshold > 0.7

    def test_and_yet_a_classifier_must_claim_something(self) -> None:
        """No threshold spares the failure but one that misses six of seven successes."""
        _, rows = self.rows([True] * 7 + [False], [0.9, *[0.5] * 6, 0.7])
        chosen = choose(rows)
        assert (chosen.wrong, chosen.missed) == (1, 0) and chosen.threshold < 0.5


def blind(folder: Path, threshold: float) -> Path:
    """A classifier for the pictures of lift that has learned nothing; says about a half."""
    import torch

    from handful.learn.agent import Agent
    from handful.learn.success_eye import Eye
    from handful.learn.success_fit import fit
    from handful.rig.observe import Observer

    recipe = resolve(Options("lift"))
    spec = Observer(recipe.rig).spec
    eye = Eye.of(Agent(spec, recipe.agent, torch.device("cpu"), 0), spec)
    settings = SuccessSettings(heads=1, updates=1, hold_steps=3)
    rng = np.random.default_rng(0)
    labels = np.arange(20, dtype=np.int8) % 2
    bank = Bank(
        rng.normal(size=(20, 1, eye.dim)).astype(np.float16),
        rng.normal(size=(20, 96)).astype(np.float32), labels, np.zeros(20, np.int32),
        np.zeros(20, bool), np.ones(20, np.float32), ["made up"], [True],
    )  # fmt: skip
    classifier = fit(settings, eye, bank, 0)
    classifier.threshold = threshold
    classifier.save(folder / "blind.safetensors")
    return folder / "blind.safetensors"


def lift(*sets: str) -> Parts:
    return Parts(resolve(Options("lift", sets=sets)), "cpu")


GEOMETRIC = (
    "reward.by=geometric",
    "reward.geometric.tip_min_m=[null, null, 0.14]",
    "reward.geometric.width_min_m=0.03",
    "reward.geometric.width_max_m=0.06",
)


class TestInTheTwin:
    def play(self, parts: Parts, seed: int) -> list[Transition]:
        env = parts.learning_environment()
        try:
            inner = getattr(env, "env", env)
            actor = parts.demonstrator(inner, seed)
            seen: Observation = env.reset(seed)
            actor.reset()
            steps: list[Transition] = []
            while not steps or not steps[-1].last:
                steps.append(env.step(actor.act(seen)))
                seen = steps[-1].next_observation
            return steps
        finally:
            env.close()

    def test_forward_kinematics_and_opening_tell_a_lift(self) -> None:
        steps = self.play(lift(*GEOMETRIC), 5)
        last = steps[-1]
        assert (last.reward, last.discount) == (1.0, 0.0) and last.info["judge"] == "geometric"
        rates = rates_of(last)
        assert (rates["true_success"], rates["false_success"], rates["missed_success"]) == (1, 0, 0)
        wrong = [s for s in steps if s.info["score"] == 1.0 and not s.info["true_at_goal"]]
        assert len(wrong) < 3  # an empty hand that opens passes the width: why claims are held
        assert last.info["false_frames"] >= len(wrong)

    def test_a_source_that_never_claims_ends_nothing(self) -> None:
        steps = self.play(lift(*GEOMETRIC[:1], "reward.geometric.tip_min_m=[null, null, 9]"), 5)
        assert len(steps) == 60 and steps[-1].discount == 1.0
        rates = rates_of(steps[-1])
        assert (rates["true_success"], rates["missed_success"]) == (1, 1)
        assert rates["missed_frame_rate"] > 0.2

    def test_the_task_judges_itself_unless_told(self) -> None:
        last = self.play(lift(), 5)[-1]
        assert last.reward == 1.0 and rates_of(last) == {}

    @pytest.mark.parametrize(("threshold", "length", "false"), [(1e-6, 3, 1.0), (1.0, 60, 0.0)])
    def test_only_the_classifiers_word_ends_it(
        self, tmp_path: Path, threshold: float, length: int, false: float
    ) -> None:
        file = blind(tmp_path, threshold)
        parts = lift("reward.by=learned", f"reward.file={file}")
        env = parts.learning_environment()
        env.reset(5)
        steps: list[Transition] = []
        while not steps or not steps[-1].last:
            steps.append(env.step(np.zeros(4)))
        env.close()
        last = steps[-1]
        assert (len(steps), last.reward) == (length, false)
        assert last.info["judge"] == "learned" and rates_of(last)["false_success"] == false
        notes: list[str] = []
        bar: Any = SimpleNamespace(note=notes.append)
        tell_drift(bar, last, 5)  # it has never seen such pictures
        assert (length > 30) == bool(notes) == bool(last.info["drift"])

    def test_holding_in_seconds(self) -> None:
        parts = lift(*GEOMETRIC, "reward.hold_s=0.25")
        _, hold = make_source(parts.recipe, SPEC, lambda: False, lambda *_: np.zeros(0, np.uint8))
        assert (hold.steps, hold.on, hold.off) == (3, 1.0, 0.5)
        with pytest.raises(ConfigError, match="held for 100 steps, an episode has 60"):
            lift(*GEOMETRIC, "reward.hold_steps=100").learning_environment()

    def test_a_run_remembers_who_judges(self) -> None:
        recipe = resolve(Options("lift", sets=GEOMETRIC))
        again = resolve(Options(), recipe.to_dict())
        assert again.reward == recipe.reward and again.reward.by == "geometric"
        old = recipe.to_dict()
        del old["reward"]  # a run from before there was a choice
        assert resolve(Options(), old).reward.by == "task"

    def test_files_are_found_from_wherever_the_run_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        sets = ("reward.by=learned", "reward.file=success.safetensors")
        recipe = resolve(Options("lift", sets=sets))
        assert recipe.reward.file == str(tmp_path / "success.safetensors")
        tags = resolve(Options("push", reward="reward/push_tags")).reward.geometric.tag
        assert tags is not None and tags.calibration == str(tmp_path / "third.yaml")
        monkeypatch.chdir("/")
        assert resolve(Options(), recipe.to_dict()).reward == recipe.reward

    def test_a_file_of_ones_own(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text("by: geometric\ngeometric: {width_min_m: 0.03}\n")
        recipe = resolve(Options("lift", reward=str(path)))
        assert recipe.reward.geometric.width_min_m == 0.03
