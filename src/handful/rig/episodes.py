"""The episode log: append-only, crash-safe, the one source for replay, export and resume.

One folder is one session, one file one episode (``episode_000000.log``), one record one step,
written with a single ``write`` so that a killed process loses at most the step in flight; a
finished episode is synced to the disk. Each picture is stored once, stacks are rebuilt on reading.
A file's first record carries the spec, so a log is never fed to an agent built for other shapes.
"""

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from handful import __version__
from handful.contract import Observation, Spec, Transition
from handful.rig.picture_codec import Coder, Pictures
from handful.rig.playback import (
    FORMAT,
    Episode,
    LogError,
    describe,
    episode_files,
    episode_number,
    first_header,
    read,
    whole_length,
)
from handful.rig.records import Arrays, pack
from handful.rig.software import software

__all__ = ["Episode", "EpisodeLog", "LogError", "adopt", "describe", "mark_interrupted", "read"]


class EpisodeLog:
    """Writes one session. Not thread-safe; two writers in one folder number around each other."""

    def __init__(
        self,
        folder: str | Path,
        spec: Spec,
        meta: dict[str, Any] | None = None,
        pictures: Pictures = "raw",
        within_s: float | None = None,
    ) -> None:
        """Open or continue the session in ``folder``, which is made when missing.

        pictures: how they are stored; both are lossless. within_s: how long a step may wait for its
        PNGs [s] (``rig.picture_codec.Coder``).

        Raises:
            LogError: the folder cannot be made, or holds episodes of another spec or format.
        """
        self._folder, self._spec, self._meta = Path(folder), spec, dict(meta or {})
        self._coder = Coder(pictures, within_s)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogError(f"{folder}: cannot make the log folder: {error.strerror}") from None
        files = episode_files(self._folder)
        self._next = 1 + episode_number(files[-1]) if files else 0
        for path in reversed(files):  # the newest that has a header speaks for the session
            if first_header(path, spec) is not None:
                break
        self._file: int | None = None
        self._path = self._folder
        self._whole_bytes = 0
        self._broken = False
        self._latest: Observation | None = None

    @property
    def hurried(self) -> int:
        """Steps stored raw, because their PNGs were not ready ``within_s``."""
        return self._coder.hurried

    def __enter__(self) -> "EpisodeLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(
        self,
        observation: Observation,
        demo: bool = False,
        info: dict[str, Any] | None = None,
        recorded: dict[str, Any] | None = None,
    ) -> Path:
        """Start the next episode's file with its first observation; ends the one before.

        info: whatever belongs to this episode and is JSON: its seed, its task, its operator.
        recorded: when and by which software, if it was not here and now.
        """
        self.end()
        self._check(observation)
        values = {
            "format": FORMAT,
            "version": __version__,
            "spec": self._spec.to_dict(),
            "meta": self._meta,
            "demo": bool(demo),
            "info": dict(info or {}),
            "stamp_s": float(observation.stamp_s),
            **_parts(observation),
            "recorded": recorded or {"unix_s": round(time.time(), 3), **software()},
        }
        record = self._packed(self._arrays(observation), values)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        while self._file is None:
            self._path = self._folder / f"episode_{self._next:06d}.log"
            self._next += 1
            try:
                self._file = os.open(self._path, flags, 0o644)
            except FileExistsError:
                continue
            except OSError as error:
                raise LogError(f"{self._path}: cannot make the file: {_why(error)}") from None
        self._whole_bytes, self._broken = 0, False
        with contextlib.suppress(OSError):  # says that it is being written; dies with the writer
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            self._append(record)
        except LogError:
            os.close(self._file)
            self._file = None
            self._path.unlink(missing_ok=True)
            raise
        self._latest = observation
        return self._path

    def add(self, transition: Transition) -> None:
        """Append one step; it is in the file when this returns.

        Raises:
            LogError: no episode is running, shapes are not the spec's, the stack does not continue
                the one before, or the disk is full. The file keeps every whole step it has; a step
                that was refused by the disk ends the episode, because a gap would be a lie.
        """
        if self._latest is None:
            raise LogError(f"{self._folder}: no episode is running, call begin before add")
        if self._broken:
            raise LogError(
                f"{self._path}: an earlier step could not be written; begin a new episode"
            )
        seen = transition.next_observation
        self._check(seen)
        if np.shape(transition.action) != (self._spec.action_dim,):
            raise LogError(
                f"{self._path}: expected an action of shape ({self._spec.action_dim},), "
                f"got {np.shape(transition.action)}"
            )
        if transition.asked is not None and np.ndim(transition.asked) != 1:
            raise LogError(
                f"{self._path}: expected what was asked as a vector, "
                f"got shape {np.shape(transition.asked)}"
            )
        for name, image in seen.images.items() if self._spec.frame_stack > 1 else ():
            if not np.array_equal(image[:, :, :-3], self._latest.images[name][:, :, 3:]):
                raise LogError(
                    f"{self._path}: the frame stack of camera {name!r} does not continue the one "
                    "of the step before, so it could not be rebuilt"
                )
        values = {
            "reward": float(transition.reward),
            "discount": float(transition.discount),
            "last": bool(transition.last),
            "demo": bool(transition.demo),
            "info": transition.info,
            "stamp_s": float(seen.stamp_s),
            **_parts(seen),
        }
        arrays = self._arrays(seen, newest_only=True)
        arrays["action"] = np.asarray(transition.action, np.float32)
        if transition.asked is not None:
            arrays["asked"] = np.asarray(transition.asked, np.float32)
        self._append(self._packed(arrays, values))
        self._latest = None if transition.last else seen

    def fault(self, reason: str) -> None:
        """End the open episode with a note of why it could not go on; without one, nothing.

        The steps before it stay what they are: read back, the last of them ends the episode as a
        time limit would, because the policy is not to blame.
        """
        if self._file is None:
            return
        with contextlib.suppress(LogError):  # a full disk may be the very reason
            if not self._broken:
                self._append(self._packed({}, {"fault": reason}))
        self.end()

    def end(self) -> None:
        """Sync the open episode to the disk and close it; without one, nothing."""
        if self._file is None:
            return
        file, self._file, self._latest = self._file, None, None
        try:
            try:
                os.fsync(file)
            finally:
                os.close(file)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise LogError(f"{self._path}: cannot be synced to the disk: {_why(error)}") from None

    def _arrays(self, observation: Observation, newest_only: bool = False) -> Arrays:
        images = observation.images
        if newest_only:
            images = {name: image[:, :, -3:] for name, image in images.items()}
        arrays = self._coder.arrays(images)
        arrays["state"] = np.asarray(observation.state, np.float32)
        return arrays

    def _packed(self, arrays: Arrays, values: dict[str, Any]) -> bytes:
        try:
            return pack(arrays, values)
        except TypeError as error:
            raise LogError(f"{self._folder}: meta and info must be plain values: {error}") from None

    def _append(self, record: bytes) -> None:
        assert self._file is not None
        rest = memoryview(record)
        try:
            while rest:  # one write, except on a disk that is just filling up
                rest = rest[os.write(self._file, rest) :]
        except BaseException as error:
            self._broken = True
            with contextlib.suppress(OSError):  # the reader drops a torn tail as well
                os.ftruncate(self._file, self._whole_bytes)
            if not isinstance(error, OSError):
                raise
            raise LogError(
                f"{self._path}: cannot be written: {_why(error)}; "
                f"the {self._whole_bytes} bytes before this step are whole"
            ) from None
        self._whole_bytes += len(record)

    def _check(self, observation: Observation) -> None:
        spec = self._spec
        shape = (spec.height_px, spec.width_px, 3 * spec.frame_stack)
        expected = dict.fromkeys(spec.cameras, (shape, "uint8"))
        got = {name: (im.shape, im.dtype.name) for name, im in observation.images.items()}
        if got != expected:
            raise LogError(f"{self._folder}: expected the pictures {expected}, got {got}")
        if observation.state.shape != (spec.state_dim,):
            raise LogError(
                f"{self._folder}: expected a state of shape ({spec.state_dim},), "
                f"got {observation.state.shape}"
            )


def mark_interrupted(folder: str | Path, reason: str) -> Path | None:
    """Note ``reason`` at the end of a session's newest episode if that was never ended.

    For whoever takes a session up again after its writer died. A torn tail is cut off first.

    Returns:
        The file that was marked; None when the newest episode is whole, or there is none.
    Raises:
        LogError: the file cannot be written.
    """
    files = episode_files(Path(folder))
    if not files:
        return None
    path = files[-1]
    whole_bytes, values = whole_length(path)
    if values is None or values.get("last") or "fault" in values:
        return None
    try:
        with path.open("r+b") as file:
            file.truncate(whole_bytes)
            file.seek(whole_bytes)
            file.write(pack({}, {"fault": reason}))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise LogError(f"{path}: cannot be marked as interrupted: {_why(error)}") from None
    return path


def adopt(path: Path, folder: str | Path) -> Path:
    """Move a finished episode's file into another session, as its newest; where it is then.

    Raises:
        LogError: the folder cannot be made or is on another disk; the file is where it was.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = episode_files(folder)
        number = 1 + episode_number(files[-1]) if files else 0
        while True:
            target = folder / f"episode_{number:06d}.log"
            try:
                os.link(path, target)  # unlike a rename it never replaces one that is there
                break
            except FileExistsError:
                number += 1
        path.unlink()
    except OSError as error:
        raise LogError(f"{path}: cannot be moved to {folder}: {_why(error)}") from None
    return target


def _parts(observation: Observation) -> dict[str, list[float]]:
    parts_s = [float(part_s) for part_s in observation.parts_s]
    return {"parts_s": parts_s} if parts_s else {}


def _why(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, "")
    return f"{error.strerror} ({name})"
