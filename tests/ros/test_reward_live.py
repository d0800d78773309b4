"""A trained classifier in the launched graph: it ends episodes, is told apart from the truth, and a
file of another cell is refused. The run has no demonstrations of its own: the learner is told where
they are.
"""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from graph import NO_ROS, ROOT, Graph, Process

pytest.importorskip("handful.msg", reason=NO_ROS)

from cell_kit import PATIENT
from diagnostic_msgs.msg import DiagnosticArray
from reward_kit import handful, taught

from handful.learn import success
from handful.msg import Episode
from handful.rig.episodes import read
from handful.workflow.curves import read_curve
from handful.workflow.run_folder import RunFolder
from tests.success_kit import profile, session

TINY = ("contrast_updates=1", "heads=1", "updates=2", "views=1", "batch_size=8")


@dataclass
class Live:
    """The launched graph, and the agents beside it that are given wrong files."""

    launched: Process
    wrong: dict[str, Process]
    run: RunFolder
    file: Path


def other_cell(folder: Path) -> Path:
    """A classifier of one small camera."""
    out = folder / "other.safetensors"
    words = [f"success.encoder={profile(folder)}", *(f"success.{one}" for one in TINY)]
    shown = session(folder / "other", ["won", "lost"] * 2)
    sets = [part for word in words for part in ("--set", word)]
    handful("reward", "train", shown, "--out", out, *sets)
    return out


def other_size(folder: Path, file: Path) -> Path:
    """The right classifier, of a camera that delivers another size."""
    out = folder / "size.safetensors"
    classifier = success.load(file)
    classifier.about["cameras"]["third"]["width_px"] = 640
    classifier.save(out)
    return out


def agent(ros: Graph, name: str, run: RunFolder, file: Any) -> Process:
    """An agent in a namespace of its own that is to learn by this file."""
    own = RunFolder(run.path.with_name(name))
    own.path.mkdir()
    shutil.copy(run.config, own.config)
    for key, value in {"run": str(own), "mode": "learn"}.items():
        ros.set_param(f"/{name}/agent_node/{key}", value)
    ros.set_param(f"/{name}/reward", {"by": "learned", "file": str(file)})
    return ros.run(name, [sys.executable, str(ROOT / "nodes/agent_node.py"), f"__ns:=/{name}"])


@pytest.fixture(scope="module")
def live(ros: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("reward")
    run, shown, file = taught(folder)
    for key, value in PATIENT.items():
        ros.set_param(f"/guard/{key}", value)
    ros.set_param("/learner_node/sessions", [str(shown)])
    ros.set_param("/reward", {"by": "learned", "file": str(other_cell(folder))})
    bare = ("model:=none", "operator:=false")
    launched = ros.launch(ROOT / "launch/twin.launch", f"run:={run}", "mode:=learn", *bare)
    wrong = {
        "missing": agent(ros, "missing", run, folder / "gone.safetensors"),
        "size": agent(ros, "size", run, other_size(folder, file)),
    }
    yield Live(launched, wrong, run, file)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("missing", "gone.safetensors: no such checkpoint"),
        ("size", "was trained on other pictures: camera third with width_px 640, here it is 64"),
    ],
)
def test_a_wrong_file_is_refused_at_start(live: Live, case: str, said: str) -> None:
    process = live.wrong[case]
    assert process.wait(60.0) == 2
    assert said in process.output() and "Traceback" not in process.output()


def test_the_launched_graph_refuses_another_cells_and_goes_on_once_it_is_told_the_right_one(
    ros: Graph, live: Live
) -> None:
    said = "was trained on other pictures: cameras third, here are third, wrist"
    ros.wait_until(lambda: said in live.launched.output(), "the refusal", 60.0)
    assert "Traceback" not in live.launched.output()
    told = ros.listen("/diagnostics", DiagnosticArray)
    episodes = ros.listen("episode", Episode)
    ros.set_param("/reward/file", str(live.file))  # roslaunch brings the agent back

    def ended(phase: int) -> int:
        return len({m.number for m in episodes.messages if m.phase == phase})

    ros.wait_until(lambda: ended(Episode.SUCCEEDED) >= 2, "two successes", 120.0)
    assert "success is what learned says, held 3 steps, and people" in live.launched.output()
    newest = told.wait_for(lambda m: any("score" in facts(s) for s in m.status), "numbers", 10.0)
    found = next(s for s in newest.status if "score" in facts(s))
    assert found.name.endswith("agent_node: reward"), found.name
    assert facts(found).keys() >= {"source", "and", "file", "score", "drift_distance"}
    assert facts(found)["file"] == str(live.file) and facts(found)["source"] == "learned"


def facts(status: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def test_its_word_is_the_reward_and_how_often_it_was_wrong_is_in_log_and_curve(
    ros: Graph, live: Live
) -> None:
    def noted() -> list[dict[str, Any]]:
        return [e for e in read_curve(live.run.curve) if "true_success" in e and e["success"]]

    ros.set_param("/reward/file", str(live.file))  # this test may be tried again alone
    points = ros.wait_until(noted, "the learner to have taken a success in", 120.0)
    won = [e for e in read(live.run.episodes) if e.complete and e.transitions[-1].reward > 0.0]
    assert won
    for episode in won:
        last = episode.transitions[-1]
        assert (last.reward, last.discount) == (1.0, 0.0) and last.info["judge"] == "learned"
        assert not last.info["said_by"] and last.info["at_goal"]
        scores = [step.info["score"] for step in episode.transitions]
        threshold = success.load(live.file).threshold
        assert min(scores[-3:]) >= 0.5 * threshold and max(scores[-3:]) >= threshold
        assert last.info["frames"] == len(scores) and last.info["false_frames"] >= 3
    # Nothing was lifted: the task's own rule, which judge/at_goal tells, knows better.
    for point in points:
        wrong = (point["true_success"], point["false_success"], point["missed_success"])
        assert wrong == (0.0, 1.0, 0.0) and point["drift"] in (0.0, 1.0)
    assert "shown, role demonstration, episodes 8" in live.launched.output()
