"""The gate: who is let through, who is not, and why; alone and in front of the supervisor."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from gate_kit import NOW, WEIGHTS, certify, here, measured
from supervisor_kit import RIG, WATCH, Cell

from handful.config import ConfigError, load
from handful.rig.gated import GatedSupervisor
from handful.rig.gatekeeper import Credential, Gatekeeper, GateSettings
from handful.rig.lineage import NAME, began_with
from handful.rig.settings import GuardSettings, RigSettings
from handful.rig.thresholds import load_thresholds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "certificate.json"


def keeper(path: Path, cell=None, at=NOW, **settings) -> Gatekeeper:
    given = GateSettings(required=True, certificate=str(path), **settings)
    return Gatekeeper(given, here() if cell is None else cell, lambda: at)


def shown(gate: Gatekeeper, **over) -> Credential:
    """What an agent with the right papers shows."""
    good = Credential("evaluate", "lift", WEIGHTS, gate.id, 100)
    return replace(good, **over)


def test_the_shipped_settings_are_the_defaults_and_ask_for_nothing() -> None:
    assert load(GateSettings, "node/gate") == GateSettings()
    gate = Gatekeeper(GateSettings(), None)
    assert gate.open and gate.forbids("agent", "/agent") == "" and gate.id == ""


class TestWithACertificate:
    def test_the_right_papers_let_an_agent_through(self, path: Path) -> None:
        certify(path)
        gate = keeper(path)
        assert not gate.open
        assert "has shown none yet" in gate.forbids("agent", "/agent")
        gate.shown("/agent", shown(gate))
        assert gate.forbids("agent", "/agent") == gate.forbids("agent") == ""
        assert "has shown none yet" in gate.forbids("agent", "/another")

    @pytest.mark.parametrize(
        ("over", "why"),
        [
            ({"certificate": ""}, "agent shows none, the guard holds"),
            ({"certificate": "f" * 64}, "agent shows ffffffffffff, the guard holds"),
            ({"weights": "cd" * 32}, "other weights: cdcdcdcdcdcd act, certified are abababababab"),
            ({"weights": ""}, "other weights: none act"),
            ({"task": "reach"}, "another task: reach, certified is lift"),
        ],
    )
    def test_wrong_papers_do_not(self, path: Path, over, why) -> None:
        certify(path)
        gate = keeper(path)
        gate.shown("/agent", shown(gate, **over))
        assert why in gate.forbids("agent", "/agent")
        assert gate.forbids("teleop", "/joy") == gate.forbids("script", "/s") == ""

    def test_other_limits_cameras_and_code_are_refused_with_the_key(self, path: Path) -> None:
        certify(path)
        slow = here(RigSettings(guard=GuardSettings(max_speed_m_s=0.1)))
        gate = keeper(path, slow)
        gate.shown("/agent", shown(gate))
        assert "max_speed_m_s is 0.1, certified 0.6" in gate.forbids("agent", "/agent")
        other = keeper(path, replace(here(), code="f" * 64))
        assert "other code" in other.trouble("evaluate", WEIGHTS, 100)
        lenient = keeper(path, replace(here(), code="f" * 64), code="version")
        assert lenient.trouble("evaluate", WEIGHTS, 100) == ""

    def test_it_expires_while_it_is_used(self, path: Path) -> None:
        certify(path)
        times = [NOW]
        given = GateSettings(required=True, certificate=str(path))
        gate = Gatekeeper(given, here(), lambda: times[-1])
        gate.shown("/agent", shown(gate))
        assert gate.forbids("agent", "/agent") == ""
        times.append(NOW + timedelta(days=30))
        assert "expired on 2026-03-31" in gate.forbids("agent", "/agent")

    def test_a_file_that_is_replaced_later_changes_nothing(self, path: Path) -> None:
        certify(path)
        gate = keeper(path)
        path.write_text("{}")
        gate.shown("/agent", shown(gate))
        assert gate.forbids("agent", "/agent") == ""
        assert "tampered" in keeper(path).forbids("agent", "/agent")

    def test_stricter_thresholds_than_it_was_made_with_are_refused(self, path: Path) -> None:
        certify(path)
        strict = path.with_name("strict.yaml")
        strict.write_text("thresholds: {success_low: {nominal: 0.95}}\n")
        gate = keeper(path, thresholds=str(strict))
        assert "nominal: success_low is 0.916, demanded is at least 0.95" in gate.trouble(
            "evaluate", WEIGHTS, 100
        )

    def test_thresholds_that_cannot_be_read_are_an_error_of_settings(self, path: Path) -> None:
        certify(path)
        with pytest.raises(ConfigError, match="no such settings file"):
            keeper(path, thresholds="nowhere.yaml")

    def test_a_cell_that_was_told_nothing_is_not_certified(self, path: Path) -> None:
        certify(path)
        gate = Gatekeeper(GateSettings(required=True, certificate=str(path)), None, lambda: NOW)
        assert "given no config" in gate.forbids("agent", "/agent")


class TestWithoutOne:
    def test_none_given_missing_and_tampered_say_so(self, path: Path) -> None:
        gate = Gatekeeper(GateSettings(required=True), here())
        assert gate.forbids("agent", "/agent") == "not certified: no certificate was given"
        assert "no such certificate" in keeper(path).forbids("agent", "/agent")
        certify(path)
        path.write_text(path.read_text().replace("97", "98"))
        assert "tampered with" in keeper(path).forbids("agent", "/agent")

    def test_a_persons_reason_opens_it_and_is_remembered(self, path: Path) -> None:
        reason = "first day,  speed 0.1, Ada at the e-stop"
        gate = keeper(path, without_certificate=reason)
        assert gate.open and gate.forbids("agent", "/agent") == ""
        assert gate.overridden() == "first day, speed 0.1, Ada at the e-stop"
        closed = keeper(path)
        closed.shown("/agent", Credential("evaluate", "lift", WEIGHTS, "", 1, "because I can"))
        assert closed.forbids("agent", "/agent") != "", "the guard believes its own settings only"
        assert closed.overridden() == "because I can"

    @pytest.mark.parametrize("text", ["yes", "because", " ok        "])
    def test_a_reason_is_more_than_a_word(self, text: str) -> None:
        with pytest.raises(ValueError, match="say why"):
            GateSettings(without_certificate=text)


class TestLearning:
    """What learns is not good yet; it must be harmless, and validated again after a while."""

    def test_a_beginner_may_learn_but_not_be_evaluated(self, path: Path) -> None:
        low = [measured(name, success_low=0.0) for name in load_thresholds().success_low]
        certify(path, severities=low)
        gate = keeper(path)
        assert gate.trouble("learn", WEIGHTS, 100) == ""
        assert "success_low is 0" in gate.trouble("evaluate", WEIGHTS, 100)

    def test_one_that_does_harm_may_not_learn(self, path: Path) -> None:
        severities = [measured(name) for name in load_thresholds().success_low]
        severities[-1] |= {"stop_share": 0.5}
        certify(path, severities=severities)
        assert "stop_share is 0.5" in keeper(path).trouble("learn", WEIGHTS, 100)

    def test_it_holds_for_so_many_updates(self, path: Path) -> None:
        certify(path)
        gate = keeper(path, valid_updates=50)
        assert gate.trouble("learn", WEIGHTS, 150) == ""
        assert "learned on for 51 updates since, 50 are allowed" in (
            gate.trouble("learn", WEIGHTS, 151)
        )
        assert gate.trouble("evaluate", WEIGHTS, 151) == "", "the weights say it all"


class TestLineage:
    """Learning changes the weights; an agent that is started again is not another."""

    def test_descendants_are_known_by_what_was_remembered(self, path: Path) -> None:
        held, folder = certify(path), path.parent / "validation"
        assert began_with(folder, "cd" * 32, held) == "cd" * 32, "never seen to be the same"
        assert began_with(folder, WEIGHTS, held) == WEIGHTS
        assert began_with(folder, "cd" * 32, held) == WEIGHTS

    def test_another_certificate_has_no_descendants_yet(self, path: Path) -> None:
        folder = path.parent / "validation"
        began_with(folder, WEIGHTS, certify(path))
        newer = certify(path, weights="ef" * 32)
        assert began_with(folder, "cd" * 32, newer) == "cd" * 32
        assert began_with(folder, WEIGHTS, newer) == WEIGHTS, "and these it is not about"
        assert [p.name for p in folder.iterdir()] == [NAME]

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"certificate": "x"}'])
    def test_what_cannot_be_read_is_nothing(self, path: Path, text: str) -> None:
        held = certify(path)
        (path.parent / NAME).write_text(text)
        assert began_with(path.parent, "cd" * 32, held) == "cd" * 32


class GatedCell(Cell):
    """A cell whose supervisor has a gatekeeper."""

    def __init__(self, gate: Gatekeeper) -> None:
        self.gate = gate
        super().__init__()
        self.supervisor = GatedSupervisor(RIG, WATCH, gate)
        self.hear()
        self.tick()
        assert self.supervisor.resume("Ada", self.now_s) == (True, "")


class TestInFrontOfTheSupervisor:
    def test_a_refused_agent_moves_nothing_and_others_do(self, path: Path) -> None:
        certify(path)
        cell = GatedCell(keeper(path))
        before = cell.order.command
        ruling = cell.act()
        assert ruling.status == "refused" and "has shown none yet" in ruling.reason
        assert cell.order.command is before and cell.supervisor.standing.source == ""
        assert cell.supervisor.standing.refused == 1
        assert cell.act(source="teleop").status == "ok"

    def test_a_certified_one_moves_and_is_held_when_its_time_is_over(self, path: Path) -> None:
        certify(path)
        times = [NOW]
        given = GateSettings(required=True, certificate=str(path))
        cell = GatedCell(Gatekeeper(given, here(), lambda: times[-1]))
        cell.gate.shown("/agent", shown(cell.gate))
        assert cell.act().status == "ok" and cell.supervisor.standing.source == "agent"
        times.append(NOW + timedelta(days=31))
        for _ in range(6):
            cell.run(0.1)
            ruling = cell.act()
        assert ruling.status in ("refused", "held") and cell.mode.value == "held"
        assert "fell silent" in cell.reason
        assert any("expired" in note for note in cell.supervisor.notes)

    def test_resting_needs_no_papers(self, path: Path) -> None:
        cell = GatedCell(keeper(path))
        assert cell.rest().status == "ok"

    def test_a_gate_for_a_source_that_is_not_there_is_a_mistake(self) -> None:
        gate = Gatekeeper(GateSettings(sources=("agnet",)), None)
        with pytest.raises(ConfigError, match="no source 'agnet'; it has teleop"):
            GatedSupervisor(RIG, WATCH, gate)
