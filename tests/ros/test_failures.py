"""The failure table (docs/failures.md), row by row: real processes killed, silenced and fooled."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from cell_kit import Cell, quick_run

from handful.msg import Episode, GuardState, Verdict
from handful.rig.episodes import read
from handful.srv import Resume
from handful.workflow.run_folder import RunFolder

HOLD_S = 0.2
HEARD_S = 0.05
"""What hearing of it in another process may add on a machine full of tests."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return quick_run(tmp_path_factory.mktemp("runs") / "quick")


@pytest.fixture(scope="module")
def shared(ros: Graph, run: RunFolder) -> Iterator[Cell]:
    cell = Cell(ros, run, relayed=True)
    yield cell
    cell.end()


@pytest.fixture
def cell(shared: Cell) -> Cell:
    """A cell that is learning, whatever the test before has done to it."""
    return shared.well()


def seconds_to_hold(cell: Cell) -> float:
    """From the last action that was obeyed to the first command that holds [s]."""
    obeyed = [
        at
        for at, m in zip(cell.verdicts.arrived_s, cell.verdicts.messages, strict=False)
        if m.status <= Verdict.AT_WALL
    ][-1]
    holds = [
        at
        for at, m in zip(cell.commands.arrived_s, cell.commands.messages, strict=False)
        if m.hold and at > obeyed
    ]
    return holds[0] - obeyed


def test_agent_killed_arm_holds_and_the_agent_comes_back_with_weights_and_log(
    ros: Graph, cell: Cell
) -> None:
    assert cell.agent is not None
    cell.moving(8, 90.0)
    cell.agent.kill()
    state = cell.held()
    assert "agent fell silent" in state.reason
    took_s = seconds_to_hold(cell)
    print(f"agent killed: holds {1e3 * took_s:.0f} ms after its last action")
    assert took_s <= HOLD_S + HEARD_S
    assert cell.still() < 1e-3
    before = list(read(cell.run.episodes))
    assert not before[-1].complete
    known = sum(len(e.transitions) for e in before)
    cell.agent = cell.start_agent()
    cell.status.wait_for(lambda m: "agent fell silent" in m.note, "the agent to wait", 60.0)
    begun = len(cell.verdicts.messages)
    time.sleep(1.0)
    moved = [m for m in cell.verdicts.messages[begun:] if m.status <= Verdict.AT_WALL]
    assert [m for m in moved if m.reason != "rests"] == [], "only a person lets it go on"
    cell.resume()
    cell.moving(5, 60.0)
    after = list(read(cell.run.episodes))
    assert "died" in after[len(before) - 1].fault
    assert sum(len(e.transitions) for e in after) >= known + 4


def test_learner_dead_acting_goes_on_for_a_while_and_then_holds(ros: Graph, cell: Cell) -> None:
    assert cell.learner is not None and cell.agent is not None
    cell.agent.stop()
    assert cell.states.last.mode == GuardState.READY, "it said that it would rest"
    cell.agent = cell.start_agent(acting={"max_learner_silence_s": 4.0})
    cell.moving(5, 90.0)
    cell.learner.kill()
    died_s = time.monotonic()
    cell.moving(15, 10.0)
    assert time.monotonic() - died_s < 4.0, "it went on with the last weights"
    begun = len(cell.verdicts.messages)
    cell.status.wait_for(lambda m: "learner is silent" in m.note, "the agent to wait", 30.0)
    moved = sum(m.reason != "rests" for m in cell.verdicts.messages[begun:])
    took_s = time.monotonic() - died_s
    print(f"learner killed: {15 + moved} more steps in {took_s:.1f} s, then none")
    time.sleep(0.5)
    begun = len(cell.actions.messages)
    time.sleep(1.0)
    assert len(cell.actions.messages) == begun, "nothing moves while it waits"
    cell.learner = cell.start_learner()
    cell.moving(5, 90.0)
    cell.agent.stop()
    ros.set_param("/agent_node/acting/max_learner_silence_s", 60.0)


@pytest.mark.parametrize("ill", ["mute", "small", "grey"])
def test_a_camera_that_stops_or_sends_nonsense_ends_the_episode(
    ros: Graph, cell: Cell, ill: str
) -> None:
    cell.tell(f"{ill} third")
    ill_s = time.monotonic()
    fault = cell.phase(Episode.FAULTED)
    print(f"camera {ill}: faulted after {1e3 * (time.monotonic() - ill_s):.0f} ms: {fault.reason}")
    assert "third" in fault.reason
    assert cell.still() < 1e-3
    cell.tell("well")
    if cell.states.last.mode != GuardState.READY:
        cell.resume()
    cell.moving(5, 60.0)


def test_arm_state_stops(ros: Graph, cell: Cell) -> None:
    cell.tell("mute arm")
    mute_s = time.monotonic()
    assert "arm/state is silent" in cell.held().reason
    print(f"arm state mute: held after {1e3 * (time.monotonic() - mute_s):.0f} ms")
    answer = ros.call("guard/resume", Resume, "Ada")
    assert not answer.success and "arm/state is silent" in answer.message
    cell.tell("well")
    cell.resume()
    cell.moving(5, 60.0)


def test_guard_killed_arm_holds_by_itself(ros: Graph, cell: Cell) -> None:
    cell.guard.kill()
    killed_s = time.monotonic()
    ros.wait_until(lambda: cell.arm.last.holding, "the arm to hold", 5.0)
    took_s = time.monotonic() - killed_s
    print(f"guard killed: the arm holds after {1e3 * took_s:.0f} ms")
    assert took_s < 0.15 + 0.25, "valid_s, and hearing of it"
    assert cell.still() < 1e-3
    ros.wait_until(lambda: cell.episodes.last.phase == Episode.FAULTED, "the episode to fault")
    assert "guard" in cell.episodes.last.reason


def test_two_agents_by_mistake(ros: Graph, cell: Cell, tmp_path: Path) -> None:
    second = cell.start_agent(name="agent_2")
    assert second.wait(60.0) == 2
    assert "its actor already" in second.output()
    cell.moving(3, 30.0)
    other = quick_run(tmp_path / "other")
    third = ros.start("agent_node", name="agent_3", run=str(other), mode="evaluate")
    state = cell.held(60.0)
    third.kill()
    assert "two agents" in state.reason and "/agent_3" in state.reason


def test_stop_in_every_state_of_an_episode(ros: Graph, cell: Cell) -> None:
    assert cell.agent is not None
    cell.agent.stop()
    cell.stop("before anything")
    cell.agent = cell.start_agent()
    cell.status.wait_for(lambda m: "before anything" in m.note, "the agent to wait", 60.0)
    assert cell.episodes.last.phase == Episode.RESETTING
    cell.stop("while resetting")
    time.sleep(0.5)
    cell.resume()
    cell.moving(4, 60.0)
    cell.stop("while running")
    ros.wait_until(lambda: cell.episodes.last.phase == Episode.FAULTED, "the episode to fault")
    assert "while running" in cell.episodes.last.reason
    assert cell.still() < 1e-3
    cell.resume()
    cell.moving(4, 60.0)
    cell.phase(Episode.RESETTING, 30.0)
    cell.stop("between two episodes")
    assert cell.still() < 1e-3
    cell.resume()
    cell.moving(4, 60.0)


def test_disk_full_while_recording(ros: Graph, cell: Cell) -> None:
    assert cell.agent is not None
    cell.agent.stop()
    cell.episodes.forget()
    node = Path(__file__).parents[2] / "nodes" / "agent_node.py"
    for key, value in {"run": str(cell.run), "mode": "learn", "steps": 1000}.items():
        ros.set_param(f"/agent_node/{key}", value)
    limit = "ulimit -f 64; exec"  # KiB a file: some steps fit, an episode does not
    agent = ros.run("agent", ["bash", "-c", f"{limit} {sys.executable} {node} __name:=agent_node"])
    fault = cell.episodes.wait_for(lambda m: m.phase == Episode.FAULTED, timeout_s=60.0)
    assert "cannot be written" in fault.reason and "episode_" in fault.reason
    assert agent.running, "it waits and says so"
    cell.status.wait_for(lambda m: "cannot be written" in m.note, "the agent to say so", 10.0)
    whole = list(read(cell.run.episodes))
    assert len(whole[-1].transitions) >= 1
    agent.stop()


def test_roscore_restarted_everybody_ends_in_words_and_the_arm_is_held(
    ros: Graph, cell: Cell
) -> None:
    agent = cell.agent
    assert agent is not None
    ros.kill_master()
    ros.start_master()
    back_s = time.monotonic()
    for process in (cell.guard, cell.twin, agent):
        assert process.wait(30.0) == 3, process.output()
        assert "master" in process.output()
    print(f"roscore restarted: all ended after {time.monotonic() - back_s:.1f} s")
    last = cell.commands.last
    assert last.hold, "the guard's last words"
