"""``handful data``: listed, shown, checked, repaired, cut, relabelled, merged, split."""

import importlib.util
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from log_kit import SPEC, assert_same_transition, observation, transition

from handful.cli import cli
from handful.rig.episodes import EpisodeLog, read
from handful.rig.records import HEAD, pack, scan
from handful.workflow.data.sessions import DataError, find_sessions, numbers

ROOT = Path(__file__).parents[2]
META = {"task": "lift", "operator": "ada", "rig": {"control_rate_hz": 10.0}}


def record(folder: Path, lengths=(6, 3, 4), spec=SPEC, meta=META) -> Path:
    with EpisodeLog(folder, spec, meta) as log:
        for number, length in enumerate(lengths):
            log.begin(observation(0, spec), demo=True, info={"seed": 100 + number})
            for step in range(1, length + 1):
                asked = np.full(spec.action_dim, 0.5, np.float32) if step % 2 else None
                log.add(replace(transition(step, step == length, spec), asked=asked))
    return folder


@pytest.fixture
def session(tmp_path):
    return record(tmp_path / "demos")


def say(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(cli, ["data", *map(str, words)])
    assert result.exit_code == status, result.output
    return result.output


class TestList:
    def test_every_episode_has_its_line_and_all_of_them_a_sum(self, session) -> None:
        output = say("list", session)
        assert re.search(r"^ 1 +3 +yes +0\.3 .*demonstration +lift +101 ", output, re.MULTILINE)
        assert "3 episodes, 3 successful, 13 steps" in output
        result = CliRunner().invoke(cli, ["data", "list", str(session), "--json", "-"])
        told = json.loads(result.stdout)
        assert [e["operator"] for e in told["episodes"]] == ["ada"] * 3
        assert all(e["bytes"] > 0 and e["commit"] for e in told["episodes"])

    def test_a_run_shows_all_its_sessions_and_nothing_is_refused(self, tmp_path, session) -> None:
        record(tmp_path / "episodes", [2])
        assert [p.name for p in find_sessions(tmp_path)] == ["demos", "episodes"]
        assert "holds no episodes" in say("list", ROOT / "docs", status=2)

    def test_which_episodes(self) -> None:
        assert numbers("0,3-5") == {0, 3, 4, 5}
        with pytest.raises(DataError, match="expected numbers such as"):
            numbers("1..3")


class TestCheckAndRepair:
    def test_a_calibration_that_is_none_is_named(self, tmp_path) -> None:
        third = {"image_width": 4, "image_height": 5, "camera_matrix": {"rows": 3, "data": [1]}}
        meta = {**META, "calibration": {"third": third, "roof": {}}}
        output = say("check", record(tmp_path / "demos", [2], meta=meta), status=1)
        assert "calibration of third: distortion_coefficients: expected rows, cols" in output
        assert "calibration of 'roof', which is no camera here" in output

    def test_what_is_whole_passes(self, session) -> None:
        assert "nothing wrong" in say("check", session)

    def test_a_torn_tail_is_named_by_byte_and_repaired_with_the_original_kept(
        self, session
    ) -> None:
        path = session / "episode_000000.log"
        data = path.read_bytes()
        ends = [at for at, _ in scan(data)]
        path.write_bytes(data[:-5])
        output = say("check", session, status=1)
        assert f"episode_000000.log: byte {ends[-1]}: the record should have" in output
        output = say("check", session, "--repair")
        assert "5 whole steps kept" in output and "nothing wrong any more" in output
        assert (session / "episode_000000.log.broken").read_bytes() == data[:-5]
        first = next(read(session))
        assert len(first.transitions) == 5 and "repaired" in first.fault
        for step, found in enumerate(first.transitions[:-1], start=1):
            assert_same_transition(found, transition(step))

    @pytest.mark.parametrize("stack", [1, 2])
    def test_damage_in_the_middle_keeps_the_whole_steps_behind_it_too(
        self, tmp_path, stack
    ) -> None:
        session = record(tmp_path / "s", [9], replace(SPEC, frame_stack=stack))
        path = session / "episode_000000.log"
        data = bytearray(path.read_bytes())
        starts = [at for at, _ in scan(bytes(data))]
        data[starts[4] + HEAD.size + 60] ^= 0xFF  # the record of step 4
        path.write_bytes(data)
        say("check", session, "--repair")
        before, behind = read(session)
        assert len(before.transitions) == 3
        assert behind.info["salvaged_from"] == "episode_000000.log" and behind.complete
        spec = replace(SPEC, frame_stack=stack)
        assert len(behind.transitions) == 5 - stack
        for step, found in enumerate(behind.transitions, start=5 + stack):
            assert_same_transition(found, transition(step, step == 9, spec))

    def test_an_episode_that_is_being_written_is_not_repaired(self, tmp_path) -> None:
        log = EpisodeLog(tmp_path, SPEC)
        path = log.begin(observation(0))
        log.add(transition(1))
        with path.open("ab") as file:
            file.write(b"HDFL....")
        before = path.read_bytes()
        assert "is being written at this moment" in say("check", tmp_path, "--repair", status=2)
        assert path.read_bytes() == before
        log.end()

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda a, v: v.update(stamp_s=1.0), "the clock runs backwards: 1.0 s after"),
            (lambda a, v: a.update(state=np.zeros(9, np.float32)), "state (9,) float32, expected"),
            (lambda a, v: a["action"].fill(np.nan), "action is not finite"),
            (lambda a, v: a["action"].fill(3.0), "an action outside [-1, 1]"),
            (lambda a, v: a.pop("image.wrist"), "pictures of third, expected third, wrist"),
            (lambda a, v: v.update(discount=7.0), "discount 7.0"),
            (lambda a, v: v.pop("reward"), "the record lacks or has something it should not"),
        ],
    )
    def test_what_a_checksum_does_not_see(self, session, change, told) -> None:
        path = session / "episode_000001.log"
        records = [r for _, r in scan(path.read_bytes())]
        change(*records[2])
        path.write_bytes(b"".join(pack(*r) for r in records))
        output = say("check", session, status=1)
        assert told in output and "episode_000001.log: byte " in output

    def test_five_kills_cost_nothing_that_was_said(self) -> None:
        spec = importlib.util.spec_from_file_location(
            "bench_kill", ROOT / "benchmarks/bench_kill.py"
        )
        assert spec is not None and spec.loader is not None
        bench = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(bench)
        told = bench.run_kill_bench(kills=5, seed=3, most_s=0.1)
        assert told["most_unsaid_steps_per_kill"] <= 1 and told["problems_after_repair"] == 0
        assert told["steps_read_back"] >= told["steps_said"]


class TestArrange:
    def test_a_relabelled_episode_reads_so_everywhere_and_back(self, session) -> None:
        before = (session / "episode_000001.log").read_bytes()
        say("relabel", session, 1, "--failure", "--who", "bob", "--why", "slipped")
        assert [e.transitions[-1].reward for e in read(session)] == [1.0, 0.0, 1.0]
        assert "2 successful" in say("list", session)
        assert (session / "episode_000001.log").read_bytes() == before
        say("relabel", session, 1, "--undo")
        assert "3 successful" in say("list", session)
        assert "say what is to change" in say("relabel", session, 1, status=2)

    def test_a_cut_is_refused_where_it_would_leave_nothing_or_confuse_a_run(self, session) -> None:
        assert "cannot be cut to 5 until 4" in say(
            "trim", session, 0, "--from", 5, "--to", 4, status=2
        )
        say("trim", session, 0, "--from", 2, "--to", 5)
        assert len(next(read(session)).transitions) == 3
        running = session.parent / "episodes"
        record(running)
        (running.parent / "checkpoint.safetensors").write_bytes(b"")
        assert "counts these steps" in say("trim", running, 0, "--to", 2, status=2)

    def test_merging_renumbers_brings_edits_along_and_copies_nothing(
        self, tmp_path, session
    ) -> None:
        other, out = record(tmp_path / "b", [2]), tmp_path / "all"
        say("relabel", session, 2, "--failure")
        say("merge", out, session, other)
        assert [len(e.transitions) for e in read(out)] == [6, 3, 4, 2]
        assert [e.transitions[-1].reward for e in read(out)] == [1.0, 1.0, 0.0, 1.0]
        assert (out / "episode_000003.log").samefile(other / "episode_000000.log")
        say("merge", tmp_path / "small", out, "--pictures", "png", "--episodes", "2")
        (small,) = read(tmp_path / "small", as_recorded=True)
        assert small.transitions[-1].reward == 0.0 and small.recorded

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"cameras": ("third",)}, "has the cameras third, expected third, wrist"),
            ({"action_dim": 5}, "has actions of 5 numbers, expected 4"),
            ({"state_dim": 4}, "state_dim is 4, expected 3"),
        ],
    )
    def test_what_does_not_fit_is_refused_before_anything_is_written(
        self, tmp_path, session, change, told
    ) -> None:
        other = record(tmp_path / "b", [2], replace(SPEC, **change))
        assert told in say("merge", tmp_path / "all", session, other, status=2)
        assert not (tmp_path / "all").exists()

    def test_a_split_parts_worlds_not_episodes(self, tmp_path, session) -> None:
        record(session)  # the same three seeds once more
        for again in ("x", "y"):
            say("split", session, "--out", tmp_path / again, "--share", "0.3")
        parts = {
            name: {e.info["seed"] for e in read(tmp_path / "x" / name)}
            for name in ("train", "held_out")
        }
        assert len(parts["held_out"]) == 1 and not parts["train"] & parts["held_out"]
        assert sum(1 for _ in read(tmp_path / "x" / "train")) == 4
        assert {e.info["seed"] for e in read(tmp_path / "y" / "held_out")} == parts["held_out"]
        assert "holds episodes already" in say("split", session, "--out", tmp_path / "x", status=2)


class TestShow:
    def test_the_page_needs_nothing_else_and_says_what_happened(self, session) -> None:
        say("relabel", session, 0, "--failure", "--why", "<b>slipped</b>")
        say("show", session, 0, "--out", session / "e.html")
        page = (session / "e.html").read_text()
        assert not re.search(r'(src|href)="https?:', page)
        assert "<b>slipped</b>" not in page and "&lt;b&gt;slipped" in page
        data = json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.DOTALL)[1])
        assert len(data["pictures"]["third"]) == 7 and len(data["steps"]) == 6
        assert data["steps"][0]["asked"] == [0.5] * 4 and data["steps"][1]["asked"] is None
        assert data["steps"][5]["reward"] == 0.0

    def test_in_a_browser_the_scrubber_moves_everything(self, session) -> None:
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            pytest.skip("NO BROWSER HERE; to test the page: apt-get install chromium")
        say("show", session, 0, "--out", session / "e.html")
        result = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
             f"--user-data-dir={session}/browser", f"file://{session}/e.html#4"],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        dom = result.stdout
        data = json.loads(re.search(r'type="application/json">(.*?)</script>', dom, re.DOTALL)[1])
        assert re.search(r'<output id="now">step 4 of 6, 0\.4 s</output>', dom)
        assert (
            re.search(r'id="view-wrist"[^>]*src="([^"]+)"', dom)[1] == data["pictures"]["wrist"][4]
        )
        assert "asked 0.500" in dom and dom.count('class="cursor"') >= 6
