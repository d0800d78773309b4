"""The episode log comes back as it went in, and refuses what it could not give back."""

import logging
import os
import struct
import threading
import time
import zlib
from dataclasses import replace

import numpy as np
import pytest
from log_kit import SPEC, assert_same_observation, assert_same_transition, observation, transition
from safetensors.numpy import load as safetensors_load

from handful.contract import Observation, Spec
from handful.rig import picture_codec, playback
from handful.rig.episodes import EpisodeLog, LogError, describe, read
from handful.rig.records import pack, unpack


def record(folder, lengths, spec: Spec = SPEC, meta=None, finished: bool = True) -> None:
    """Episodes of the given lengths, each ending in success when ``finished``."""
    with EpisodeLog(folder, spec, meta) as log:
        for number, length in enumerate(lengths):
            log.begin(observation(0, spec), demo=number % 2 == 0, info={"seed": number})
            for step in range(1, length + 1):
                log.add(transition(step, finished and step == length, spec))


class TestThereAndBack:
    @pytest.mark.parametrize("stack", [1, 2, 4])
    @pytest.mark.parametrize("cameras", [("third",), ("wrist", "third")])
    def test_what_comes_back_is_what_went_in(self, tmp_path, stack, cameras) -> None:
        spec = replace(SPEC, frame_stack=stack, cameras=cameras)
        record(tmp_path, [6, 1, 3], spec, {"task": "lift"})
        episodes = list(read(tmp_path, spec))
        assert [len(e.transitions) for e in episodes] == [6, 1, 3]
        for number, episode in enumerate(episodes):
            assert episode.complete
            assert episode.demo == (number % 2 == 0)
            assert episode.info == {"seed": number}
            assert episode.meta == {"task": "lift"}
            assert episode.spec == spec
            assert episode.path.name == f"episode_{number:06d}.log"
            assert_same_observation(episode.observation, observation(0, spec))
            length = len(episode.transitions)
            for step, found in enumerate(episode.transitions, start=1):
                assert_same_transition(found, transition(step, step == length, spec))

    def test_a_first_stack_of_different_frames_comes_back_whole(self, tmp_path) -> None:
        with EpisodeLog(tmp_path, SPEC) as log:
            log.begin(observation(7))
            log.add(transition(8, True))
        (episode,) = read(tmp_path)
        assert_same_observation(episode.observation, observation(7))
        assert_same_transition(episode.transitions[0], transition(8, True))

    def test_numbers_come_back_to_the_last_bit(self, tmp_path) -> None:
        odd = replace(
            transition(1),
            reward=0.1 + 0.2,
            discount=1.0 / 3.0,
            info={"a": np.float32(0.1), "b": np.bool_(True), "c": "é\n", "d": 1e-300},
        )
        with EpisodeLog(tmp_path, SPEC) as log:
            log.begin(observation(0))
            log.add(odd)
        (episode,) = read(tmp_path)
        (found,) = episode.transitions
        assert (found.reward, found.discount) == (0.1 + 0.2, 1.0 / 3.0)
        assert found.info == {"a": float(np.float32(0.1)), "b": True, "c": "é\n", "d": 1e-300}

    def test_every_frame_is_stored_once(self, tmp_path) -> None:
        spec = Spec(("third", "wrist"), 84, 84, 3, 8, 4)
        record(tmp_path, [20], spec)
        frames = (20 + 3) * 2 * 84 * 84 * 3  # 20 steps and the first stack, two cameras
        size = (tmp_path / "episode_000000.log").stat().st_size
        assert frames < size < 1.05 * frames

    def test_the_bytes_on_the_disk_are_the_format(self, tmp_path) -> None:
        record(tmp_path, [1])
        data = (tmp_path / "episode_000000.log").read_bytes()
        length, checksum = struct.unpack_from("<II", data, 4)
        payload = data[12 : 12 + length]
        assert data[:4] == b"HDFL"
        assert checksum == zlib.crc32(payload)
        assert set(safetensors_load(payload)) == {"image.third", "image.wrist", "state"}
        assert data[12 + length :][:4] == b"HDFL"

    def test_an_interrupted_episode_is_cut_short_not_lost(self, tmp_path) -> None:
        record(tmp_path, [3, 2], finished=False)
        for episode, length in zip(read(tmp_path), (3, 2), strict=True):
            assert not episode.complete
            assert len(episode.transitions) == length
            assert [t.last for t in episode.transitions] == [False] * (length - 1) + [True]
            assert episode.transitions[-1].discount == 1.0, "out of time is not over"

    def test_an_episode_without_a_step_is_passed_over(self, tmp_path) -> None:
        with EpisodeLog(tmp_path, SPEC) as log:
            log.begin(observation(0))
            log.begin(observation(0))
            log.add(transition(1))
        assert [e.path.name for e in read(tmp_path)] == ["episode_000001.log"]

    def test_a_session_goes_on_numbering_after_the_highest(self, tmp_path) -> None:
        record(tmp_path, [1, 1, 1])
        (tmp_path / "episode_000001.log").unlink()
        (tmp_path / "notes.txt").write_text("not ours")
        record(tmp_path, [2])
        assert [e.path.name[8:14] for e in read(tmp_path)] == ["000000", "000002", "000003"]

    def test_the_millionth_episode_comes_after_the_one_before(self, tmp_path) -> None:
        record(tmp_path, [1])
        (tmp_path / "episode_000000.log").rename(tmp_path / "episode_999999.log")
        record(tmp_path, [2])
        assert [len(e.transitions) for e in read(tmp_path)] == [1, 2]

    def test_two_writers_number_around_each_other(self, tmp_path) -> None:
        with EpisodeLog(tmp_path, SPEC) as one, EpisodeLog(tmp_path, SPEC) as two:
            for log in (one, two, one):
                log.begin(observation(0))
                log.add(transition(1, True))
        assert len(list(read(tmp_path))) == 3

    def test_reading_is_lazy(self, tmp_path) -> None:
        record(tmp_path, [1, 1])
        episodes = read(tmp_path)
        next(episodes)
        (tmp_path / "episode_000001.log").write_bytes(b"")
        assert list(episodes) == []

    def test_a_step_can_be_read_as_soon_as_add_returns(self, tmp_path) -> None:
        log = EpisodeLog(tmp_path, SPEC)
        log.begin(observation(0))
        for step in (1, 2, 3):
            log.add(transition(step))
            (episode,) = read(tmp_path)
            assert len(episode.transitions) == step
        log.end()
        log.end()

    def test_describe_tells_spec_and_meta(self, tmp_path) -> None:
        record(tmp_path, [1], meta={"task": "reach"})
        assert describe(tmp_path) == (SPEC, {"task": "reach"})


class TestSync:
    def test_the_end_of_an_episode_is_synced_file_first_then_folder(
        self, tmp_path, monkeypatch
    ) -> None:
        synced = []
        real = os.fsync

        def fsync(file: int) -> None:
            synced.append(os.readlink(f"/proc/self/fd/{file}"))
            real(file)

        monkeypatch.setattr(os, "fsync", fsync)
        log = EpisodeLog(tmp_path, SPEC)
        path = log.begin(observation(0))
        log.add(transition(1))
        assert synced == []
        log.end()
        assert synced == [str(path), str(tmp_path)]

    def test_a_sync_that_fails_is_told(self, tmp_path, monkeypatch) -> None:
        log = EpisodeLog(tmp_path, SPEC)
        log.begin(observation(0))

        def fsync(file: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(LogError, match=r"episode_000000\.log: cannot be synced .*\(EIO\)"):
            log.end()


class TestRefusals:
    @pytest.fixture
    def log(self, tmp_path):
        log = EpisodeLog(tmp_path, SPEC)
        log.begin(observation(0))
        yield log
        log.end()
        assert all(len(e.transitions) == 1 for e in read(tmp_path)), "a refusal left a trace"

    def test_before_begin_and_after_the_end(self, tmp_path) -> None:
        log = EpisodeLog(tmp_path, SPEC)
        with pytest.raises(LogError, match="no episode is running, call begin before add"):
            log.add(transition(1))
        log.begin(observation(0))
        log.add(transition(1, True))
        with pytest.raises(LogError, match="no episode is running"):
            log.add(transition(2))
        log.end()
        with pytest.raises(LogError, match="no episode is running"):
            log.add(transition(2))

    def test_a_stack_that_does_not_continue(self, log) -> None:
        with pytest.raises(LogError, match="camera 'third' does not continue"):
            log.add(transition(5))
        log.add(transition(1))

    def test_a_picture_of_another_shape_type_or_camera(self, log) -> None:
        good = observation(1)
        for images in (
            {"third": good.images["third"]},
            {**good.images, "extra": good.images["third"]},
            {**good.images, "third": good.images["third"][:, :, :3]},
            {**good.images, "third": good.images["third"].astype(np.int16)},
        ):
            bad = Observation(images, good.state, good.stamp_s)
            with pytest.raises(LogError, match="expected the pictures"):
                log.add(replace(transition(1), next_observation=bad))
        log.add(transition(1))

    def test_a_first_observation_of_another_shape_makes_no_file(self, tmp_path) -> None:
        bad = replace(observation(0), state=np.zeros(9, np.float32))
        with pytest.raises(LogError, match=r"expected a state of shape \(3,\)"):
            EpisodeLog(tmp_path, SPEC).begin(bad)
        assert list(tmp_path.iterdir()) == []

    def test_a_state_or_action_of_another_shape(self, log) -> None:
        bad = replace(observation(1), state=np.zeros(4, np.float32))
        with pytest.raises(LogError, match=r"expected a state of shape \(3,\), got \(4,\)"):
            log.add(replace(transition(1), next_observation=bad))
        with pytest.raises(LogError, match=r"expected an action of shape \(4,\), got \(5,\)"):
            log.add(replace(transition(1), action=np.zeros(5, np.float32)))
        log.add(transition(1))

    def test_info_that_is_no_plain_value(self, log) -> None:
        with pytest.raises(LogError, match="meta and info must be plain values.*set"):
            log.add(replace(transition(1), info={"x": {1, 2}}))  # type: ignore[dict-item]
        log.add(transition(1))

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"frame_stack": 3}, "frame_stack is 2, expected 3"),
            ({"cameras": ("wrist", "third")}, "cameras is "),
            ({"state_dim": 4, "action_dim": 5}, "state_dim is 3, expected 4, action_dim is 4"),
        ],
    )
    def test_a_log_of_another_spec(self, tmp_path, change, told) -> None:
        record(tmp_path, [1])
        other = replace(SPEC, **change)
        for use in (lambda: list(read(tmp_path, other)), lambda: EpisodeLog(tmp_path, other)):
            with pytest.raises(
                LogError, match="episode_000000.log: recorded with another spec: "
            ) as e:
                use()
            assert told in str(e.value)

    def test_a_log_of_another_format(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr("handful.rig.episodes.FORMAT", 99)
        record(tmp_path, [1])
        told = r"episode_000000\.log: log format 99, written by handful .* reads format 1"
        for use in (lambda: list(read(tmp_path)), lambda: EpisodeLog(tmp_path, SPEC)):
            with pytest.raises(LogError, match=told):
                use()
        assert playback.FORMAT == 1

    def test_no_folder_and_nothing_in_it(self, tmp_path) -> None:
        with pytest.raises(LogError, match="nowhere: no such log folder"):
            list(read(tmp_path / "nowhere"))
        assert list(read(tmp_path)) == []
        with pytest.raises(LogError, match="no episode that can be read"):
            describe(tmp_path)
        with pytest.raises(LogError, match="nowhere: no episode that can be read"):
            describe(tmp_path / "nowhere")

    def test_a_folder_that_cannot_be_made(self, tmp_path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(LogError, match="cannot make the log folder"):
            EpisodeLog(tmp_path / "file" / "log", SPEC)

    def test_a_folder_that_went_away(self, tmp_path) -> None:
        log = EpisodeLog(tmp_path / "session", SPEC)
        (tmp_path / "session").rmdir()
        with pytest.raises(LogError, match=r"episode_000000\.log: cannot make the file.*ENOENT"):
            log.begin(observation(0))


def test_a_session_whose_newest_header_is_torn_is_known_by_the_one_before(tmp_path, caplog) -> None:
    record(tmp_path, [1])
    (tmp_path / "episode_000001.log").write_bytes(b"HDF")
    with caplog.at_level(logging.WARNING), pytest.raises(LogError, match="another spec"):
        EpisodeLog(tmp_path, replace(SPEC, state_dim=9))
    record(tmp_path, [1])
    assert [e.path.name[8:14] for e in read(tmp_path)] == ["000000", "000002"]


class TestWhatWasAddedLater:
    """Old logs stay readable; new ones say more."""

    def test_pictures_as_png_come_back_to_the_bit_and_smaller(self, tmp_path) -> None:
        spec = replace(SPEC, height_px=48, width_px=40, frame_stack=3)
        sizes = {}
        for pictures in ("raw", "png"):
            with EpisodeLog(tmp_path / pictures, spec, pictures=pictures) as log:
                log.begin(observation(7, spec))
                log.add(transition(8, True, spec))
            (episode,) = read(tmp_path / pictures, spec)
            assert_same_observation(episode.observation, observation(7, spec))
            assert_same_transition(episode.transitions[0], transition(8, True, spec))
            sizes[pictures] = episode.path.stat().st_size
        assert sizes["png"] < sizes["raw"] / 3

    def test_the_wish_and_the_moment_of_every_part_are_kept(self, tmp_path) -> None:
        asked = np.array([0.5, -0.25, 1.0, 0.125], np.float32)
        seen = replace(observation(1), parts_s=(1.5, 1.25, 1.75))
        with EpisodeLog(tmp_path, SPEC) as log:
            log.begin(replace(observation(0), parts_s=(1.0, 1.0, 1.125)))
            log.add(replace(transition(1), next_observation=seen, asked=asked))
            log.add(transition(2, True))
            with pytest.raises(LogError, match="no episode is running"):
                log.add(replace(transition(3), asked=np.zeros((2, 2), np.float32)))
        (episode,) = read(tmp_path)
        assert episode.observation.parts_s == (1.0, 1.0, 1.125)
        assert episode.transitions[0].next_observation.parts_s == (1.5, 1.25, 1.75)
        assert np.array_equal(episode.transitions[0].asked, asked)
        assert episode.transitions[1].asked is None

    def test_when_and_by_which_software_it_was_recorded(self, tmp_path) -> None:
        record(tmp_path, [1])
        (episode,) = read(tmp_path)
        assert episode.recorded["unix_s"] > 1.7e9
        assert set(episode.recorded) == {"unix_s", "handful", "commit"}

    def test_a_log_from_before_all_this_is_read(self, tmp_path) -> None:
        record(tmp_path, [2])
        path = tmp_path / "episode_000000.log"
        records = list(unpack(path.read_bytes()))
        arrays, header = records[0]
        del header["recorded"]
        path.write_bytes(b"".join(pack(*r) for r in [(arrays, header), *records[1:]]))
        (episode,) = read(tmp_path, SPEC)
        assert episode.recorded == {} and len(episode.transitions) == 2


class TestInAHurry:
    LARGE = Spec(("third", "wrist"), 480, 640, 1, 3, 4)

    def test_what_cannot_be_compressed_in_time_is_stored_raw_and_reads_the_same(
        self, tmp_path, monkeypatch
    ) -> None:
        may_end, compress = threading.Event(), picture_codec.encode_png

        def slowly(picture):
            assert may_end.wait(20.0)
            return compress(picture)

        monkeypatch.setattr(picture_codec, "encode_png", slowly)
        with EpisodeLog(tmp_path, self.LARGE, None, "png", within_s=0.02) as log:
            path = log.begin(observation(0, self.LARGE))  # not ready in time
            may_end.set()
            while not all(work.done() for work in log._coder._working):
                time.sleep(0.001)
            log._coder._within_s = None  # a loaded machine is slow, and that is not meant here
            for step in range(1, picture_codec.RAW_STEPS + 1):  # a busy processor is left alone
                log.add(transition(step, spec=self.LARGE))
            assert log.hurried == picture_codec.RAW_STEPS + 1
            log.add(transition(picture_codec.RAW_STEPS + 1, True, spec=self.LARGE))
            assert log.hurried == picture_codec.RAW_STEPS + 1
        kinds = [{n.partition(".")[0] for n in r[0] if "." in n} for r in unpack(path.read_bytes())]
        assert kinds == [{"image"}] * (picture_codec.RAW_STEPS + 1) + [{"png"}]
        (episode,) = read(tmp_path)
        for step, found in enumerate(episode.transitions, start=1):
            last = step == picture_codec.RAW_STEPS + 1
            assert_same_transition(found, transition(step, last, self.LARGE))
