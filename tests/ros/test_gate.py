"""The gate over ROS: six ways to be refused, by agent and guard alike; and the loop that closes.

The guard of every row is also lied to: it is shown the right papers by somebody else, and looks for
itself.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from graph import NO_ROS, ROOT, Graph, Process

pytest.importorskip("handful.msg", reason=NO_ROS)

from cell_kit import PATIENT, Cell, quick_run
from diagnostic_msgs.msg import DiagnosticArray
from gate_kit import certify

from handful.msg import Action, Credential, GuardState, Verdict
from handful.rig import certificate as certificates
from handful.rig import digest
from handful.rig.certificate import Claims, claims
from handful.rig.playback import episode_files, first_header
from handful.srv import Resume
from handful.workflow.recipe import Options, resolve
from handful.workflow.run_folder import RunFolder, find_checkpoint

ROWS = {
    "none": "no such certificate",
    "weights": "other weights",
    "config": "edited settings of the rig than certified: observe.max_arm_age_s is 0.2",
    "expired": "expired on",
    "cameras": "other cameras than certified: third.width_px is 96",
    "limits": "other limits than certified: max_speed_m_s is 0.3, certified 0.6",
}

NEEDED = {"required": True, "code": "version"}  # who edits a file while this runs is no row here
STAYS = "none"
"""The row whose agent roslaunch would bring back: it stays, and says why it does nothing."""


def of_run(run: RunFolder) -> tuple[Claims, str, int]:
    """What a run's cell claims to be, the digest of its weights, and their updates."""
    recipe = resolve(Options(), run.read_config(), str(run.config))
    cell = claims(recipe.rig, recipe.task, recipe.task_settings.model_dump(mode="json"))
    _, path = find_checkpoint(run.path)
    return cell, digest.weights(path), digest.updates(path)


@dataclass
class Row:
    """One cell of a guard and an agent, in a namespace of its own."""

    name: str
    guard: Process
    agent: Process


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = quick_run(tmp_path_factory.mktemp("runs") / "quick")
    config = run.read_config() or {}
    config["task"]["horizon_steps"] = 15  # nobody looks at how well it acts here
    run.config.write_text(yaml.safe_dump(config))
    cell, weights, updates = of_run(run)
    certify(
        run.path / "validation" / "certificate.json", cell, weights, updates, certificates.now()
    )
    return run


def start_row(ros: Graph, name: str, run: RunFolder, folder: Path) -> Row:
    """The run with one thing wrong, and a guard and an agent that are told to look for a match."""
    own = RunFolder(folder / name)
    own.path.mkdir()
    own.pretrained.symlink_to(run.pretrained)
    config, (cell, weights, updates) = run.read_config() or {}, of_run(run)
    now, path = certificates.now(), own.path / "certificate.json"
    gate: dict[str, Any] = {**NEEDED, "certificate": str(path)}
    if name == "weights":
        weights = "ab" * 32
    elif name == "config":
        config["rig"]["observe"]["max_arm_age_s"] = 0.2
    elif name == "expired":
        now -= timedelta(days=31)
    elif name == "cameras":
        config["rig"]["cameras"]["third"]["width_px"] = 96
    elif name == "limits":
        ros.set_param(f"/{name}/rig/guard/max_speed_m_s", 0.3)
    own.config.write_text(yaml.safe_dump(config))
    if name != "none":
        certify(path, cell, weights, updates, now)
    for key, value in {"config": str(own.config), "gate": gate}.items():
        ros.set_param(f"/{name}/{key}", value)
    ros.set_param(f"/{name}/agent_node/run", str(own))
    ros.set_param(f"/{name}/agent_node/stay", name == STAYS)
    started = [
        ros.run(
            f"{name}_{node}", [sys.executable, str(ROOT / f"nodes/{node}.py"), f"__ns:=/{name}"]
        )
        for node in ("guard_node", "agent_node")
    ]
    return Row(name, *started)


def test_each_way_to_be_refused_is_refused_by_both_with_the_reason(
    ros: Graph, run: RunFolder, tmp_path: Path
) -> None:
    rows = [start_row(ros, name, run, tmp_path) for name in ROWS]
    held = certificates.read(run.path / "validation" / "certificate.json")
    for row in rows:
        states = ros.listen(f"/{row.name}/guard/state", GuardState)
        verdicts = ros.listen(f"/{row.name}/guard/verdict", Verdict)
        papers = ros.talk(f"/{row.name}/agent/credential", Credential, latch=True, listeners=1)
        actions = ros.talk(f"/{row.name}/agent/action", Action, listeners=1)
        own = RunFolder(tmp_path / row.name).path / "certificate.json"
        shown = certificates.read(own).id if own.exists() else held.id
        papers.say(
            Credential(mode="evaluate", task="lift", weights=held.weights, certificate=shown)
        )
        actions.say(Action(source="agent", values=[0, 0, 0, 0]))
        why = states.wait_for(
            lambda m: m.barred and "shown none" not in m.barred, "the guard to look", 20.0
        ).barred
        assert ROWS[row.name] in why, f"{row.name}: {why}"
        ruling = verdicts.wait(1)[0]
        assert ruling.status == Verdict.REFUSED and ruling.reason.startswith("not certified")
        for ear in (states, verdicts):
            ear.close()
    for row in rows:
        if row.name == STAYS:
            ros.wait_until(lambda row=row: "not certified" in row.agent.output(), "a word", 60.0)
            assert row.agent.running
        else:
            assert row.agent.wait(60.0) == 2, row.agent.output()
        said = row.agent.output()
        assert "not certified: " in said and ROWS[row.name] in said, f"{row.name}: {said}"
        assert row.guard.running
        row.guard.kill()
        row.agent.kill()


def act_once(cell: Cell) -> Process:
    """One episode of the agent; whatever a busy machine latches meanwhile, a person resumes."""
    given = {
        "run": str(cell.run),
        "mode": "evaluate",
        "episodes": 1,
        "config": str(cell.run.config),
    }
    for key, value in given.items():
        cell.ros.set_param(f"/agent_node/{key}", value)
    agent = cell.ros.run("agent_node", [sys.executable, str(ROOT / "nodes/agent_node.py")])

    def done() -> bool:
        if cell.states.messages and cell.states.last.mode == GuardState.HELD:
            cell.ros.call("guard/resume", Resume, "Ada")
        return not agent.running

    cell.ros.wait_until(done, "the episode to end", 120.0)
    assert agent.wait(1.0) == 0, agent.output()
    return agent


@pytest.fixture
def cells(ros: Graph) -> Iterator[list[Cell]]:
    cells: list[Cell] = []
    yield cells
    for cell in cells:
        cell.end()


def test_with_the_right_one_the_loop_closes_and_a_reason_stands_in_for_it(
    ros: Graph, run: RunFolder, cells: list[Cell]
) -> None:
    path = run.path / "validation" / "certificate.json"
    ros.set_param("/gate", {**NEEDED, "certificate": str(path)})
    told = ros.listen("/diagnostics", DiagnosticArray)
    cell = Cell(ros, run, **PATIENT)
    cells.append(cell)
    assert "has shown none yet" in cell.states.last.barred
    agent = act_once(cell)
    assert cell.states.wait_for(lambda m: not m.barred, "the guard to let it act")
    moves = [m for m in cell.verdicts.messages if m.source == "agent" and m.reason != "rests"]
    assert moves and all(m.status <= Verdict.AT_WALL for m in moves)
    result = json.loads((run.path / "ros_result.json").read_text())
    held = certificates.read(path)
    assert result["certificate"] == held.id and "without_certificate" not in result
    assert (0, f"certificate {held.id[:12]} holds") in said_of(told, "guard_node: certificate")

    reason = "a test: the certificate is gone"
    path.unlink()
    cell.guard.kill()
    ros.set_param("/gate/without_certificate", reason)
    told.forget()
    cell.guard = cell._start_guard()
    cell.resume()
    agent = act_once(cell)
    assert f"acts without a certificate: {reason}" in agent.output()
    assert json.loads((run.path / "ros_result.json").read_text())["without_certificate"] == reason
    for node in ("guard_node", "agent_node"):
        said = said_of(told, f"{node}: certificate")
        assert said and all(level == 1 and reason in text for level, text in said), node
    metas = [first_header(file)["meta"] for file in episode_files(run.path / "ros_episodes")]  # type: ignore[index]
    assert "without_certificate" not in metas[0] and metas[0]["certificate"] == held.id
    assert metas[-1]["without_certificate"] == reason
    told.close()


def said_of(told: Any, name: str) -> list[tuple[int, str]]:
    """(level, first words) of every report of one check."""
    said = [s for m in told.messages for s in m.status if s.name == name]
    return [(s.level, s.message.partition(" until ")[0]) for s in said]
