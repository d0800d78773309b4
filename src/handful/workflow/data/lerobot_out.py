"""Episodes as a LeRobotDataset v3: tables, pictures or video, tasks, episodes, statistics.

Layout of LeRobot's codebase version ``v3.0`` (huggingface.co/docs/lerobot/lerobot-dataset-v3). One
row is one step: what was seen, and the action made from it. What LeRobot has no place for (the last
observation, verdicts, stamps to the bit) lies in ``meta/handful``, one checksummed record an
episode, which LeRobot does not look at and ``lerobot_in`` does.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from handful import __version__
from handful.rig.picture_codec import encode_png
from handful.workflow.data.columns import Columns, keep
from handful.workflow.data.lerobot_stats import Running, Stats
from handful.workflow.data.video import psnr_db, read_video, write_video

VERSION = "v3.0"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
KEPT = "meta/handful/episode-{episode_index:06d}.record"
CHUNK, DATA_MB, VIDEO_MB = 1000, 100, 200
STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
ASKED, STAMP = "handful.asked", "handful.stamp_s"
_AXES = {4: ["x", "y", "z", "gripper"], 5: ["x", "y", "z", "yaw", "gripper"]}
_COUNTERS = ("timestamp", "frame_index", "episode_index", "index", "task_index")


def write_dataset(
    root: Path, chosen: list[Columns], rate_hz: float, pictures: str
) -> dict[str, Any]:
    """Write ``chosen`` as a new dataset in ``root``.

    Args:
        pictures: ``png`` (in the tables), ``ffv1`` or ``h264`` (video).
    Returns:
        psnr_db: of the worst picture, when the video loses something.
    """
    tasks = list(dict.fromkeys(one.task for one in chosen))
    writer = _Writer(root, features(chosen, pictures), rate_hz, pictures, tasks)
    for columns in chosen:
        writer.add(columns)
    return writer.finish(chosen)


def features(chosen: list[Columns], pictures: str) -> dict[str, dict[str, Any]]:
    """LeRobot's description of every column."""
    spec = chosen[0].spec
    width = max((one.asked.shape[1] for one in chosen if one.asked is not None), default=0)
    names = _AXES.get(spec.action_dim) or [f"action_{k}" for k in range(spec.action_dim)]
    shape = [spec.height_px, spec.width_px, 3]
    found: dict[str, dict[str, Any]] = {
        STATE: _vector(spec.state_dim, [f"state_{k}" for k in range(spec.state_dim)]),
        ACTION: _vector(spec.action_dim, names),
    }
    for camera in spec.cameras:
        kind = "image" if pictures == "png" else "video"
        found[IMAGES + camera] = {
            "dtype": kind,
            "shape": shape,
            "names": ["height", "width", "channels"],
        }
    one = {"shape": [1], "names": None}
    found |= {
        "next.reward": {"dtype": "float32", **one},
        "next.done": {"dtype": "bool", **one},
        "next.success": {"dtype": "bool", **one},
        STAMP: {"dtype": "float64", **one},
    }
    if width:
        found[ASKED] = _vector(width, [f"asked_{k}" for k in range(width)])
    found |= {name: {"dtype": "int64", **one} for name in _COUNTERS}
    found["timestamp"] = {"dtype": "float32", **one}
    return found


def _vector(size: int, names: list[str]) -> dict[str, Any]:
    return {"dtype": "float32", "shape": [size], "names": names}


class _Writer:
    """Writes one dataset: tables as they fill up, and at the end what speaks of all of them."""

    def __init__(
        self,
        root: Path,
        described: dict[str, dict[str, Any]],
        rate_hz: float,
        pictures: str,
        tasks: list[str],
    ) -> None:
        self._root, self._features, self._rate_hz = root, described, rate_hz
        self._pictures, self._tasks = pictures, tasks
        self._rows: list[pa.Table] = []
        self._rows_bytes = self._file = self._index = 0
        self._episodes: list[dict[str, Any]] = []
        self._all = Running()
        self._psnr_db = np.inf

    def add(self, columns: Columns) -> None:
        number = len(self._episodes)
        table = self._table(columns, number)
        if self._rows and self._rows_bytes + table.nbytes > DATA_MB * 2**20:
            self._flush()
        self._rows.append(table)
        self._rows_bytes += table.nbytes
        said: dict[str, Any] = {
            "episode_index": number,
            "tasks": [columns.task],
            "length": columns.length,
            "data/chunk_index": self._file // CHUNK,
            "data/file_index": self._file % CHUNK,
            "dataset_from_index": self._index,
            "dataset_to_index": self._index + columns.length,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        if self._pictures != "png":
            for camera in columns.spec.cameras:
                said |= self._video(columns, camera, number)
        stats = self._stats(columns, table)
        for name, values in stats.items():
            said |= {f"stats/{name}/{key}": value.tolist() for key, value in values.items()}
        self._episodes.append(said)
        self._index += columns.length
        path = self._root / KEPT.format(episode_index=number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(keep(columns))

    def _table(self, columns: Columns, number: int) -> pa.Table:
        n = columns.length
        frames = np.arange(n, dtype=np.int64)
        stamps_s = [columns.first["stamp_s"], *(s["stamp_s"] for s in columns.steps[:-1])]
        found: dict[str, Any] = {
            STATE: _vectors(columns.states[:-1]),
            ACTION: _vectors(columns.actions),
            "next.reward": pa.array([s["reward"] for s in columns.steps], pa.float32()),
            "next.done": pa.array([bool(s["last"]) for s in columns.steps], pa.bool_()),
            "next.success": pa.array(
                [columns.success and k == n - 1 for k in range(n)], pa.bool_()
            ),
            STAMP: pa.array(stamps_s, pa.float64()),
            "timestamp": pa.array((frames / self._rate_hz).astype(np.float32)),
            "frame_index": pa.array(frames),
            "episode_index": pa.array(np.full(n, number, np.int64)),
            "index": pa.array(frames + self._index),
            "task_index": pa.array(np.full(n, self._tasks.index(columns.task), np.int64)),
        }
        if ASKED in self._features:
            wide = np.full((n, self._features[ASKED]["shape"][0]), np.nan, np.float32)
            if columns.asked is not None:
                wide[:, : columns.asked.shape[1]] = columns.asked
            found[ASKED] = _vectors(wide)
        if self._pictures == "png":
            kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            for camera in columns.spec.cameras:
                rows = [
                    {"bytes": encode_png(picture), "path": f"frame-{k:06d}.png"}
                    for k, picture in enumerate(columns.pictures[camera][:-1])
                ]
                found[IMAGES + camera] = pa.array(rows, kind)
        return pa.table({name: found[name] for name in self._features if name in found})

    def _video(self, columns: Columns, camera: str, number: int) -> dict[str, Any]:
        key = IMAGES + camera
        path = self._root / VIDEO.format(
            video_key=key, chunk_index=number // CHUNK, file_index=number % CHUNK
        )
        shown = columns.pictures[camera][:-1]
        self._features[key]["info"] = write_video(path, shown, self._rate_hz, self._pictures)
        self._psnr_db = min(self._psnr_db, psnr_db(shown, read_video(path, 0.0, len(shown))))
        return {
            f"videos/{key}/chunk_index": number // CHUNK,
            f"videos/{key}/file_index": number % CHUNK,
            f"videos/{key}/from_timestamp": 0.0,
            f"videos/{key}/to_timestamp": columns.length / self._rate_hz,
        }

    def _stats(self, columns: Columns, table: pa.Table) -> Stats:
        here = Running()
        for running in (here, self._all):
            for camera in columns.spec.cameras:
                running.add_pictures(IMAGES + camera, columns.pictures[camera][:-1])
            for name, said in self._features.items():
                if said["dtype"] not in ("image", "video"):
                    rows = table.column(name).combine_chunks()
                    flat = rows.flatten() if pa.types.is_fixed_size_list(rows.type) else rows
                    values = np.asarray(flat.to_numpy(zero_copy_only=False), np.float64)
                    running.add(name, values.reshape(columns.length, -1))
        return here.stats()

    def _flush(self) -> None:
        path = self._root / DATA.format(
            chunk_index=self._file // CHUNK, file_index=self._file % CHUNK
        )
        _write(path, pa.concat_tables(self._rows))
        self._rows, self._rows_bytes, self._file = [], 0, self._file + 1

    def finish(self, chosen: list[Columns]) -> dict[str, Any]:
        self._flush()
        _write(self._root / EPISODES, pa.Table.from_pylist(self._episodes))
        _write(self._root / "meta/tasks.parquet", task_table(self._tasks))
        stats = {
            name: {key: value.tolist() for key, value in values.items()}
            for name, values in self._all.stats().items()
        }
        _json(self._root / "meta/stats.json", stats)
        told = {} if np.isinf(self._psnr_db) else {"psnr_db": round(self._psnr_db, 2)}
        lenses = chosen[0].meta.get("calibration")
        rate = int(self._rate_hz) if self._rate_hz == int(self._rate_hz) else self._rate_hz
        info = {
            "codebase_version": VERSION,
            "robot_type": str(chosen[0].meta.get("robot", "handful")),
            "total_episodes": len(chosen),
            "total_frames": self._index,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": rate,
            "splits": {"train": f"0:{len(chosen)}"},
            "data_path": DATA,
            "video_path": None if self._pictures == "png" else VIDEO,
            "features": self._features,
            "handful": {
                "version": __version__,
                "pictures": self._pictures,
                "lossless": self._pictures != "h264",
                **told,
                **({"calibration": lenses} if lenses else {}),
            },
        }
        _json(self._root / "meta/info.json", info)
        return told


def task_table(tasks: list[str]) -> pa.Table:
    """Task index by task, with the words of pandas about which column is the index."""
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()),
                      "__index_level_0__": pa.array(tasks, pa.string())})  # fmt: skip
    plain = {"metadata": None, "numpy_type": "object", "pandas_type": "unicode"}
    columns = [
        {"name": "task_index", "field_name": "task_index", "metadata": None,
         "numpy_type": "int64", "pandas_type": "int64"},
        {"name": None, "field_name": "__index_level_0__", **plain},
    ]  # fmt: skip
    words = {
        "index_columns": ["__index_level_0__"],
        "column_indexes": [{"name": None, "field_name": None, **plain}],
        "columns": columns,
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({b"pandas": json.dumps(words).encode()})


def _vectors(rows: Any) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(rows, np.float32).reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="snappy")


def _json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
