"""Out to LeRobotDataset v3 and robomimic HDF5 and back to the bit; what is refused on the way."""

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from log_kit import SPEC, assert_same_observation, assert_same_transition

from handful.contract import Observation, Transition
from handful.rig.episodes import EpisodeLog, read
from handful.rig.picture_codec import decode_png
from handful.workflow.data.exchange import bring_in, export
from handful.workflow.data.sessions import DataError
from handful.workflow.data.video import psnr_db

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".bench/loaders/bin/python"
needs_loaders = pytest.mark.skipif(
    not PYTHON.exists(),
    reason="NO LeRobot AND robomimic HERE; to test with them: python benchmarks/loaders.py",
)
BIG = replace(SPEC, height_px=48, width_px=40)


def picture(camera: int, step: int) -> np.ndarray:
    """Smooth, different at every step, as a camera's would be."""
    y, x = np.mgrid[0:48, 0:40].astype(np.float32)
    waves = [127 + 120 * np.sin(x / 9 + y / 11 + 0.3 * step + c + camera) for c in range(3)]
    return np.stack(waves, 2).astype(np.uint8)


def seen(step: int) -> Observation:
    older = picture(0, max(step - 1, 0)), picture(1, max(step - 1, 0))
    images = {
        name: np.concatenate([older[k], picture(k, step)], 2) for k, name in enumerate(SPEC.cameras)
    }
    state = np.random.default_rng(step).normal(size=3).astype(np.float32)
    return Observation(images, state, 100.0 + 0.1 * step, (100.01, 100.02, 100.03 + step))


@pytest.fixture
def session(tmp_path):
    rng = np.random.default_rng(0)
    with EpisodeLog(tmp_path / "demos", BIG, {"task": "lift", "operator": "ada"}) as log:
        for number, length in enumerate((5, 7, 4)):
            log.begin(seen(0), demo=True, info={"seed": number})
            for step in range(1, length + 1):
                last = step == length and number != 2  # the third one was cut off
                asked = rng.normal(size=4).astype(np.float32) if step % 3 else None
                log.add(
                    Transition(
                        rng.uniform(-1, 1, 4).astype(np.float32), 0.1 + 0.2 if last else 0.0,
                        0.0 if last else 1.0, seen(step), last, True,
                        {"verdict": "slowed", "success": last}, asked,
                    )
                )  # fmt: skip
        log.fault("the camera was unplugged")
    return tmp_path / "demos"


def assert_same(one: Path, other: Path) -> None:
    for a, b in zip(read(one), read(other), strict=True):
        assert_same_observation(b.observation, a.observation)
        for name in ("demo", "info", "meta", "complete", "fault", "recorded", "spec"):
            assert getattr(a, name) == getattr(b, name), name
        for s, t in zip(a.transitions, b.transitions, strict=True):
            assert_same_transition(t, s)
            assert t.next_observation.parts_s == s.next_observation.parts_s
            assert (s.asked is None) == (t.asked is None)
            assert s.asked is None or np.array_equal(s.asked, t.asked)


@pytest.mark.parametrize(
    ("kind", "pictures"), [("lerobot", "png"), ("lerobot", "ffv1"), ("robomimic", "png")]
)
def test_there_and_back_is_equal_to_the_bit(tmp_path, session, kind, pictures) -> None:
    told = export(session, tmp_path / "out", kind, None, pictures=pictures)
    assert (told["episodes"], told["steps"]) == (3, 16) and "psnr_db" not in told
    bring_in(tmp_path / "out", tmp_path / "back")
    assert_same(session, tmp_path / "back")


def test_lossy_video_keeps_the_psnr_it_states(tmp_path, session) -> None:
    told = export(session, tmp_path / "out", "lerobot", None, pictures="h264")
    info = json.loads((tmp_path / "out/meta/info.json").read_text())
    assert info["handful"]["psnr_db"] == told["psnr_db"] > 30.0
    assert info["handful"]["lossless"] is False
    bring_in(tmp_path / "out", tmp_path / "back")
    worst = min(
        psnr_db(t.next_observation.images["third"][None, :, :, 3:],
                s.next_observation.images["third"][None, :, :, 3:])
        for a, b in zip(read(session), read(tmp_path / "back"), strict=True)
        for s, t in zip(a.transitions, b.transitions, strict=True)
    )  # fmt: skip
    assert worst >= told["psnr_db"] - 0.01
    for a, b in zip(read(session), read(tmp_path / "back"), strict=True):
        assert all(
            np.array_equal(s.action, t.action)
            for s, t in zip(a.transitions, b.transitions, strict=True)
        )


@needs_loaders
def test_lerobots_own_loader_reads_it(tmp_path, session) -> None:
    keys = ["observation.images.wrist", "observation.state", "action", "next.reward", "next.done"]
    questions = []
    for pictures in ("png", "h264"):
        root = tmp_path / pictures
        export(session, root, "lerobot", None, pictures=pictures, task="lift the cube")
        questions += [
            {"what": "describe", "root": str(root)},
            {"what": "rows", "root": str(root), "indices": [0, 4, 5, 15], "keys": keys,
             "into": f"{root}.npz"},
        ]  # fmt: skip
    answers = ask("peer_lerobot.py", *questions)
    steps = [(e, k) for e in read(session) for k in range(len(e.transitions))]
    for pictures, told, rows in zip(("png", "h264"), answers[::2], answers[1::2], strict=True):
        assert (told["frames"], told["episodes"], told["lengths"]) == (16, 3, [5, 7, 4])
        assert told["tasks"] == ["lift the cube"] and rows["task"] == ["lift the cube"] * 4
        assert told["cameras"] == ["observation.images.third", "observation.images.wrist"]
        assert np.shape(told["stats"]["observation.images.third"]["mean"]) == (3, 1, 1)
        found = np.load(tmp_path / f"{pictures}.npz")
        for row, index in enumerate((0, 4, 5, 15)):
            episode, k = steps[index]
            before = episode.observation if k == 0 else episode.transitions[k - 1].next_observation
            assert np.array_equal(found["action"][row], episode.transitions[k].action)
            assert np.array_equal(found["observation.state"][row], before.state)
            image = np.round(found["observation.images.wrist"][row] * np.float32(255))
            ours = before.images["wrist"][:, :, 3:]
            quality = psnr_db(ours[None], image.astype(np.uint8).transpose(1, 2, 0)[None])
            assert quality == np.inf if pictures == "png" else quality > 30.0
        assert found["next.reward"][1] == np.float32(0.1 + 0.2) and bool(found["next.done"][1])


@needs_loaders
def test_robomimics_own_dataset_reads_it(tmp_path, session) -> None:
    export(session, tmp_path / "out.hdf5", "robomimic", None)
    (told,) = ask(
        "peer_robomimic.py", {"path": str(tmp_path / "out.hdf5"), "into": str(tmp_path / "r.npz")}
    )
    assert (told["demos"], told["rows"]) == (3, 16)
    found, steps = np.load(tmp_path / "r.npz"), [t for e in read(session) for t in e.transitions]
    assert np.array_equal(found["actions"][:, 0], np.stack([t.action for t in steps]))
    theirs = found["next_third_image"][:, 0]
    assert np.array_equal(
        theirs, np.stack([t.next_observation.images["third"][:, :, 3:] for t in steps])
    )


def ask(script: str, *questions: dict) -> list[dict]:
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    quiet.pop("PYTHONPATH", None)
    done = subprocess.run(
        [PYTHON, ROOT / "benchmarks" / script], input=lines, capture_output=True, text=True,
        timeout=200, env=quiet,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


class TestAnothers:
    """What was not ours, or was changed by somebody since."""

    def test_without_what_we_kept_it_is_one_step_shorter_and_says_no_more(
        self, tmp_path, session
    ) -> None:
        export(session, tmp_path / "out", "lerobot", None)
        for path in (tmp_path / "out/meta/handful").iterdir():
            path.unlink()
        bring_in(tmp_path / "out", tmp_path / "back")
        ours, theirs = next(read(session)), next(read(tmp_path / "back"))
        assert len(theirs.transitions) == len(ours.transitions) - 1
        last = theirs.transitions[-1]
        assert last.reward == pytest.approx(0.3) and last.discount == 0.0
        assert theirs.meta["source"] == "lerobot" and theirs.spec.frame_stack == 1
        assert np.array_equal(last.action, ours.transitions[3].action)

    def test_actions_that_were_changed_do_not_get_our_verdicts(self, tmp_path, session) -> None:
        export(session, tmp_path / "out", "lerobot", None)
        path = tmp_path / "out/data/chunk-000/file-000.parquet"
        table = pq.read_table(path)
        flat = np.zeros(4 * len(table), np.float32)
        column = pa.FixedSizeListArray.from_arrays(pa.array(flat), 4)
        table = table.set_column(table.column_names.index("action"), "action", column)
        pq.write_table(table, path)
        told = bring_in(tmp_path / "out", tmp_path / "back")
        assert "does not belong to episode 0 as it is now" in told["notes"][0]


class TestRefused:
    """One sentence, nothing read that should not be, nothing left behind."""

    @pytest.fixture
    def dataset(self, tmp_path, session) -> Path:
        export(session, tmp_path / "set", "lerobot", None)
        return tmp_path / "set"

    def refused(self, source: Path, told: str) -> None:
        out = source.parent / "never"
        with pytest.raises(DataError, match=told):
            bring_in(source, out)
        assert not out.exists() and not list(source.parent.glob(".*part"))

    def test_a_path_that_leads_outside(self, tmp_path, dataset) -> None:
        path = dataset / "meta/info.json"
        info = json.loads(path.read_text())
        for template in ("../{chunk_index}.parquet", "/etc/passwd", "{chunk_index.__class__}"):
            path.write_text(json.dumps({**info, "data_path": template}))
            self.refused(dataset, "outside of itself|in info.json")

    def test_a_link_that_leads_outside(self, tmp_path, dataset) -> None:
        path = dataset / "data/chunk-000/file-000.parquet"
        path.rename(tmp_path / "elsewhere.parquet")
        path.symlink_to(tmp_path / "elsewhere.parquet")
        self.refused(dataset, "names a file outside of itself")

    def test_an_hdf5_file_that_leads_outside_or_holds_objects(self, tmp_path, session) -> None:
        for name, spoil in (
            ("a", lambda d: d.__setitem__("obs/far", h5py.ExternalLink("b.hdf5", "/x"))),
            ("b", lambda d: d.__setitem__("obs/soft", h5py.SoftLink("/data"))),
            ("c", lambda d: d["obs"].create_dataset("v", (5,), np.dtype("V8"))),
        ):
            path = tmp_path / f"{name}.hdf5"
            export(session, path, "robomimic", {0})
            with h5py.File(path, "a") as file:
                spoil(file["data/demo_0"])
            self.refused(path, "leads to another file|is a link|unpickling")

    def test_a_pickle_by_any_name(self, tmp_path) -> None:
        for name in ("demos.pkl", "demos.hdf5"):
            (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
            self.refused(tmp_path / name, "a pickle runs whatever code is in it")

    def test_an_older_version_a_cut_file_and_no_data_set(self, tmp_path, dataset) -> None:
        table = dataset / "data/chunk-000/file-000.parquet"
        table.write_bytes(table.read_bytes()[:-50])
        self.refused(dataset, "file-000.parquet: cannot be read")
        path = dataset / "meta/info.json"
        path.write_text(path.read_text().replace('"v3.0"', '"v2.1"'))
        self.refused(dataset, "version 'v2.1', expected v3.0")
        (tmp_path / "x.hdf5").write_bytes(b"\x89HDF\r\n\x1a\nnot really")
        self.refused(tmp_path / "x.hdf5", "cannot be read as HDF5")
        (tmp_path / "y").write_bytes(b"hello")
        self.refused(tmp_path / "y", "expected a LeRobotDataset v3")

    def test_episodes_of_another_camera_set_in_one_file(self, tmp_path, session) -> None:
        export(session, tmp_path / "a.hdf5", "robomimic", None)
        with h5py.File(tmp_path / "a.hdf5", "a") as file:
            demo = file["data/demo_1"]
            del demo["handful"]
            for group in ("obs", "next_obs"):
                demo[group].move("third_image", "left_image")
        self.refused(tmp_path / "a.hdf5", "has the cameras left, wrist, expected third, wrist")

    def test_what_is_there_is_not_written_over(self, tmp_path, session, dataset) -> None:
        with pytest.raises(DataError, match="is there already"):
            export(session, dataset, "lerobot", None)
        with pytest.raises(DataError, match="holds episodes already"):
            bring_in(dataset, session)


def test_a_damaged_png_is_an_error_and_no_picture() -> None:
    with pytest.raises(ValueError, match="expected a PNG"):
        decode_png(b"GIF89a..")


def test_the_formats_are_not_needed_for_the_rest() -> None:
    script = (
        "import sys; import handful.cli, handful.workflow.data.actions;"
        "print([m for m in ('pyarrow', 'h5py', 'av', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
    assert importlib.util.find_spec("pyarrow") is not None
