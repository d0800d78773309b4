"""The episode log under kill -9, torn and corrupted files, and a disk that is full."""

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from log_kit import SPEC, assert_same_transition, observation, transition

from handful.contract import Spec
from handful.rig.episodes import EpisodeLog, read
from handful.rig.records import HEAD

TESTS = str(Path(__file__).parents[1])
BIG = Spec(("third", "wrist"), 84, 84, 3, 8, 4)
STEPS = 4


@pytest.fixture
def whole(tmp_path) -> tuple[Path, list[int]]:
    """A log of one episode, and the byte at which each of its records ends."""
    with EpisodeLog(tmp_path, SPEC) as log:
        path = log.begin(observation(0))
        ends = [path.stat().st_size]
        for step in range(1, STEPS + 1):
            log.add(transition(step, step == STEPS))
            ends.append(path.stat().st_size)
    return path, ends


def steps_in(folder: Path) -> int:
    """Whole steps that come back; every one of them must be true."""
    episodes = list(read(folder))
    if not episodes:
        return 0
    (episode,) = episodes
    for step, found in enumerate(episode.transitions, start=1):
        cut_short = step == len(episode.transitions) < STEPS
        if cut_short:
            assert found.last and found.discount == 1.0
        else:
            assert_same_transition(found, transition(step, step == STEPS))
    assert episode.complete == (len(episode.transitions) == STEPS)
    return len(episode.transitions)


def test_cut_at_every_byte_it_keeps_every_whole_step(whole, caplog) -> None:
    path, ends = whole
    data = path.read_bytes()
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert steps_in(path.parent) == max(0, sum(end <= size for end in ends) - 1)
        if size in (0, *ends):
            assert caplog.messages == []
        else:
            begins = max([0, *(end for end in ends if end <= size)])
            (warning,) = caplog.messages
            assert str(path) in warning
            assert f"dropped the last {size - begins} bytes, from byte {begins} on" in warning


def test_with_any_byte_flipped_it_keeps_every_step_before(whole, caplog) -> None:
    path, ends = whole
    data = path.read_bytes()
    rng = random.Random(0)
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert steps_in(path.parent) == max(0, sum(end <= at for end in ends) - 1)
        assert len(caplog.messages) == 1


def test_a_corrupt_checksum_is_named_and_other_episodes_are_untouched(whole, caplog) -> None:
    path, ends = whole
    with EpisodeLog(path.parent, SPEC) as log:
        log.begin(observation(0))
        log.add(transition(1, True))
    data = bytearray(path.read_bytes())
    data[ends[1] + HEAD.size + 40] ^= 0xFF
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        first, second = read(path.parent)
    assert (len(first.transitions), first.complete) == (1, False)
    assert (len(second.transitions), second.complete) == (1, True)
    (warning,) = caplog.messages
    assert f"from byte {ends[1]} on: the checksum does not match" in warning


def test_blocks_of_zeros_at_the_tail_are_dropped(whole, caplog) -> None:
    """What some file systems leave after a power cut: the right length, and nothing in it."""
    path, ends = whole
    data = path.read_bytes()
    path.write_bytes(data[: ends[2]] + bytes(len(data) - ends[2]))
    with caplog.at_level(logging.WARNING):
        assert steps_in(path.parent) == 2
    assert "record mark" in caplog.text


WRITER = f"""
import sys
sys.path.insert(0, {TESTS!r})
from log_kit import observation, transition
from handful.contract import Spec
from handful.rig.episodes import EpisodeLog
spec = Spec(("third", "wrist"), 84, 84, 3, 8, 4)
log = EpisodeLog(sys.argv[1], spec)
for episode in range(10**6):
    log.begin(observation(0, spec))
    print("begin", flush=True)
    for step in range(1, 41):
        log.add(transition(step, step == 40, spec))
        print(step, flush=True)
"""


def test_killed_at_any_moment_it_loses_at_most_the_step_in_flight(tmp_path, caplog) -> None:
    rng = random.Random(1)
    episodes_before = 0
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begin\n"
        time.sleep(rng.uniform(0.0, 0.15))
        writer.send_signal(signal.SIGKILL)
        told = ["begin", *writer.stdout.read().split()]
        assert writer.wait() == -signal.SIGKILL

        begun = told.count("begin")
        acknowledged = sum(word != "begin" for word in told)
        files = sorted(tmp_path.iterdir())[episodes_before:]
        assert begun <= len(files) <= begun + 1, "an episode was lost"
        found = list(read(tmp_path, BIG))[-len(files) :] if acknowledged else []
        found = [e for e in found if e.path in files]
        recorded = sum(len(e.transitions) for e in found)
        assert acknowledged <= recorded <= acknowledged + 1
        for episode in found:
            assert episode.complete == (len(episode.transitions) == 40)
            for step, seen in enumerate(episode.transitions, start=1):
                if step < len(episode.transitions) or episode.complete:
                    assert_same_transition(seen, transition(step, step == 40, BIG))
        episodes_before += len(files)
    assert episodes_before >= 6


FULL = f"""
import json, resource, signal, sys
sys.path.insert(0, {TESTS!r})
from log_kit import observation, transition
from handful.contract import Spec
from handful.rig.episodes import EpisodeLog, LogError, read
folder, limit = sys.argv[1], int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
spec = Spec(("third", "wrist"), 84, 84, 3, 8, 4)
log = EpisodeLog(folder, spec)
path = log.begin(observation(0, spec))
told = {{"added": 0, "again": "", "begin": ""}}
try:
    for step in range(1, 1000):
        log.add(transition(step, False, spec))
        told["added"] = step
except LogError as error:
    told["error"] = str(error)
told["size"] = path.stat().st_size
try:
    log.add(transition(step + 1, False, spec))
except LogError as error:
    told["again"] = str(error)
log.end()
try:
    log.begin(observation(0, spec))
except LogError as error:
    told["begin"] = str(error)
log.end()
told["files"] = sorted(p.name for p in path.parent.iterdir())
told["read"] = [len(e.transitions) for e in read(folder, spec)]
told["last"] = int(next(read(folder)).transitions[-1].next_observation.images["third"][0, 0, -1])
print(json.dumps(told))
"""


def assert_survived(told: dict, code: str) -> None:
    added = told["added"]
    assert added > 3, told
    name = "episode_000000.log"
    assert f"{name}: cannot be written: " in told["error"] and f"({code})" in told["error"]
    assert f"the {told['size']} bytes before this step are whole" in told["error"]
    assert "begin a new episode" in told["again"], "a log with a hole would be a lie"
    assert told["read"][0] == added and told["last"] == added


def test_at_the_file_size_limit_what_is_written_stays_whole(tmp_path) -> None:
    """The limit cuts a write in the middle, as a disk does that fills up."""
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), "1000000"],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(result.stdout)
    assert_survived(told, "EFBIG")
    assert told["size"] % 1000 != 0 and told["size"] < 1_000_000, "the torn part was taken back"
    assert result.stderr == "", "nothing to warn of: no torn tail was left"


def private_disk() -> list[str]:
    """A command prefix that gives a program mounts of its own, or a skip."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare for a disk of its own")
    for namespaces in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        trial = ["unshare", *namespaces, "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
        if subprocess.run(trial, capture_output=True, check=False).returncode == 0:
            return ["unshare", *namespaces]
    pytest.skip("may not mount a small disk here (neither as root nor in a user namespace)")


def test_on_a_full_disk_what_is_written_stays_whole(tmp_path) -> None:
    mount = 'mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"'
    result = subprocess.run(
        [*private_disk(), "sh", "-c", mount, "sh", str(tmp_path)]
        + [sys.executable, "-c", FULL, str(tmp_path), "0"],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(result.stdout)
    assert_survived(told, "ENOSPC")
    assert "episode_000001.log: cannot be written" in told["begin"]
    assert "(ENOSPC)" in told["begin"]
    assert told["files"] == ["episode_000000.log"], "a file without a first record is taken back"


def test_an_interrupt_in_the_middle_of_a_write_leaves_no_torn_record(tmp_path, monkeypatch) -> None:
    log = EpisodeLog(tmp_path, SPEC)
    log.begin(observation(0))
    log.add(transition(1))
    real = os.write

    def half(file: int, data: bytes) -> int:
        real(file, bytes(data)[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(KeyboardInterrupt):
        log.add(transition(2))
    monkeypatch.undo()
    log.end()
    (episode,) = read(tmp_path)
    assert len(episode.transitions) == 1
    assert episode.transitions[0].last


def test_a_write_that_takes_only_a_part_is_continued(tmp_path, monkeypatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data)[:77]))
    with EpisodeLog(tmp_path, SPEC) as log:
        log.begin(observation(0))
        log.add(transition(1, True))
    (episode,) = read(tmp_path)
    assert_same_transition(episode.transitions[0], transition(1, True))
