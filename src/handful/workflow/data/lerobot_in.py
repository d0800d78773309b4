"""A LeRobotDataset v3 read into episodes: ours to the bit, anybody's as far as it tells.

Another's data set has N rows an episode and no last observation, so it makes N - 1 steps: the
last row's picture is what the step before it led to, and its reward is that step's.
"""

import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from handful.contract import Spec
from handful.rig.picture_codec import PictureError, decode_png
from handful.workflow.data.columns import Columns, kept
from handful.workflow.data.exchange import inside
from handful.workflow.data.lerobot_out import ACTION, IMAGES, KEPT, STATE, VERSION
from handful.workflow.data.sessions import DataError
from handful.workflow.data.video import read_video

_FIELDS = {"chunk_index", "file_index", "video_key"}


def read_dataset(root: Path, task: str | None, notes: list[str]) -> Iterator[Columns]:
    """The episodes of the data set in ``root``, in order; ``notes`` gets what was left out.

    Raises:
        DataError: another version, a missing or damaged file, a path that leads outside of
            ``root``, or columns that are no arm's (no state, no action, no camera).
    """
    data = _Dataset(root)
    for said in data.episodes:
        yield data.columns(said, task, notes)


class _Dataset:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.info = self._json("meta/info.json")
        version = self.info.get("codebase_version")
        if not str(version).startswith("v3."):
            raise DataError(
                f"{root}: is of LeRobot's version {version!r}, expected {VERSION}; LeRobot "
                "converts older ones"
            )
        features = self.info.get("features")
        if not isinstance(features, dict) or STATE not in features or ACTION not in features:
            raise DataError(f"{root}: its info.json names no {STATE} and {ACTION}")
        self.cameras = {
            name.removeprefix(IMAGES): name
            for name, f in features.items()
            if f.get("dtype") in ("image", "video")
        }
        if not self.cameras:
            raise DataError(f"{root}: has no camera (a feature of dtype image or video)")
        self.features = features
        self._tables: dict[Path, pa.Table] = {}
        self.episodes = self._episodes()
        self.tasks = self._tasks()

    def _json(self, name: str) -> dict[str, Any]:
        path = inside(self.root, self.root / name)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from None
        if not isinstance(values, dict):
            raise DataError(f"{path}: expected one JSON object")
        return values

    def _table(self, path: Path) -> pa.Table:
        path = inside(self.root, path)
        if path not in self._tables:
            try:
                table = pq.ParquetFile(path).read()
            except (OSError, pa.ArrowException) as error:
                raise DataError(f"{path}: cannot be read: {_first(error)}") from None
            self._tables = {path: table}  # one at a time; episodes come in order
        return self._tables[path]

    def _episodes(self) -> list[dict[str, Any]]:
        files = sorted((self.root / "meta/episodes").glob("*/*.parquet"))
        found: list[dict[str, Any]] = []
        for path in files:
            table = self._table(path)
            wanted = [name for name in table.column_names if not name.startswith("stats/")]
            found += table.select(wanted).to_pylist()
        if not found:
            raise DataError(f"{self.root}: meta/episodes holds no episode")
        return sorted(found, key=lambda said: int(said["episode_index"]))

    def _tasks(self) -> dict[int, str]:
        table = self._table(self.root / "meta/tasks.parquet")
        words = [c for c in table.column_names if c != "task_index"]
        if "task_index" not in table.column_names or not words:
            raise DataError(f"{self.root}: meta/tasks.parquet has no task_index and task")
        rows = table.to_pylist()
        return {int(row["task_index"]): str(row[words[0]]) for row in rows}

    def _path(self, template: Any, **values: Any) -> Path:
        """A file that info.json names by a template; only a few words may stand in it."""
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(template) if name}
            if not fields <= _FIELDS:
                raise KeyError(", ".join(sorted(fields - _FIELDS)))
            return inside(self.root, self.root / template.format(**values))
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise DataError(f"{self.root}: the path {template!r} in info.json: {error!r}") from None

    def columns(self, said: dict[str, Any], task: str | None, notes: list[str]) -> Columns:
        number = int(said["episode_index"])
        path = self._path(
            self.info.get("data_path"),
            chunk_index=said["data/chunk_index"],
            file_index=said["data/file_index"],
        )
        table = self._table(path)
        for name in (STATE, ACTION, "episode_index"):
            if name not in table.column_names:
                raise DataError(f"{path}: has no column {name}")
        where = np.flatnonzero(table.column("episode_index").to_numpy() == number)
        if len(where) != said["length"] or len(where) < 2:
            raise DataError(
                f"{path}: episode {number} has {len(where)} rows, its length is said to be "
                f"{said['length']}"
            )
        rows = table.take(pa.array(where))
        states, actions = (_vectors(rows, name, path) for name in (STATE, ACTION))
        pictures = {name: self._pictures(rows, key, said) for name, key in self.cameras.items()}
        record = self.root / KEPT.format(episode_index=number)
        if record.is_file():
            data = inside(self.root, record).read_bytes()
            ours = kept(data, pictures, states, actions, str(path))
            if ours is not None:
                return ours
            notes.append(
                f"{record}: does not belong to episode {number} as it is now, so verdicts, stamps "
                "and the last observation are left out"
            )
        return self._foreign(rows, said, pictures, states, actions, task, path)

    def _pictures(self, rows: pa.Table, key: str, said: dict[str, Any]) -> NDArray[np.uint8]:
        height, width = self.features[key]["shape"][:2]
        if self.features[key]["dtype"] == "video":
            path = self._path(
                self.info.get("video_path"),
                video_key=key,
                chunk_index=said[f"videos/{key}/chunk_index"],
                file_index=said[f"videos/{key}/file_index"],
            )
            found = read_video(path, float(said[f"videos/{key}/from_timestamp"]), len(rows))
        else:
            if key not in rows.column_names:
                raise DataError(f"{self.root}: has no column {key}, which info.json names")
            found = np.stack([self._png(cell) for cell in rows.column(key).to_pylist()])
        if found.shape[1:] != (height, width, 3):
            raise DataError(
                f"{self.root}: pictures of {key} are {found.shape[1:]}, info.json says "
                f"({height}, {width}, 3)"
            )
        return found

    def _png(self, cell: Any) -> NDArray[np.uint8]:
        data = cell.get("bytes") if isinstance(cell, dict) else None
        if data is None:
            name = cell.get("path") if isinstance(cell, dict) else None
            if not name:
                raise DataError(f"{self.root}: a row has no picture")
            path = inside(self.root, self.root / name)
            if not path.is_file():
                raise DataError(f"{path}: is not there; a row of the table names it")
            data = path.read_bytes()
        try:
            return decode_png(data)
        except PictureError as error:
            raise DataError(f"{self.root}: a picture in its tables: {error}") from None

    def _foreign(
        self, rows: pa.Table, said: dict[str, Any], pictures: dict[str, NDArray[np.uint8]],
        states: NDArray[np.float32], actions: NDArray[np.float32], task: str | None, path: Path,
    ) -> Columns:  # fmt: skip
        n = len(rows) - 1
        names = rows.column_names
        rewards = (
            rows.column("next.reward").to_pylist() if "next.reward" in names else [0.0] * (n + 1)
        )
        rewards[n - 1] = max(float(rewards[n - 1]), float(rewards[n]))
        success = rewards[n - 1] > 0.0
        if "next.success" in names:
            success = any(rows.column("next.success").to_pylist())
        elif "next.reward" not in names:
            success, rewards[n - 1] = True, 1.0  # demonstrations, as data sets for cloning are
        if "timestamp" in names:
            stamps_s = [float(t) for t in rows.column("timestamp").to_pylist()]
        else:
            stamps_s = (np.arange(n + 1) / float(self.info["fps"])).tolist()
        if any(b < a for a, b in zip(stamps_s, stamps_s[1:], strict=False)):
            raise DataError(f"{path}: the clock of episode {said['episode_index']} runs backwards")
        words = task or self.tasks.get(int(rows.column("task_index")[0].as_py()), "")
        first = next(iter(pictures.values()))
        spec = Spec(
            tuple(pictures), first.shape[1], first.shape[2], 1, states.shape[1], actions.shape[1]
        )
        if any(p.shape != first.shape for p in pictures.values()):
            sizes = ", ".join(f"{k} {p.shape[1:3]}" for k, p in pictures.items())
            raise DataError(f"{path}: cameras of different sizes ({sizes}) do not fit one spec")
        steps = [
            {
                "reward": float(rewards[k]),
                "discount": 0.0 if success and k == n - 1 else 1.0,
                "last": k == n - 1,
                "demo": True,
                "info": {"success": bool(success and k == n - 1)},
                "asked": None,
                "stamp_s": stamps_s[k + 1],
            }
            for k in range(n)
        ]
        return Columns(
            spec=spec,
            pictures=pictures,
            older={name: p[0, :, :, :0] for name, p in pictures.items()},
            states=states,
            actions=actions[:-1],
            asked=None,
            steps=steps,
            first={"stamp_s": stamps_s[0]},
            info={"task": words, "from_episode": int(said["episode_index"])},
            meta={
                "source": "lerobot",
                "robot": self.info.get("robot_type"),
                "fps": self.info["fps"],
            },
            task=words,
            where=str(path),
        )


def _vectors(rows: pa.Table, name: str, path: Path) -> NDArray[np.float32]:
    column = rows.column(name).combine_chunks()
    if not (pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)):
        raise DataError(f"{path}: {name} should hold vectors, it holds {column.type}")
    flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
    if flat.dtype.kind not in "fiu" or flat.size % len(rows):
        raise DataError(f"{path}: {name} should hold numbers of one length, got {column.type}")
    return flat.astype(np.float32).reshape(len(rows), -1)


def _first(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
