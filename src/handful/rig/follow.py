"""The episode log read while it is being written: every step once, soon after it happened.

How a learner in a process of its own gets its experience: from the one log that also outlives a
crash, so nothing is sent that could be lost, and a learner that was away catches up by itself.
"""

from collections.abc import Iterator
from pathlib import Path

from handful.contract import Observation, Spec, Transition
from handful.rig.edits import View, views
from handful.rig.playback import (
    LogError,
    checked_spec,
    episode_files,
    first_observation,
    transition,
)
from handful.rig.records import HEAD, Broken, unpack


class Follower:
    """Reads one session forward, episode after episode; never blocks and never writes.

    A record that is not whole yet is read again at the next call. One that will never be whole (its
    writer died) is passed over when the next episode's file is there: an episode that was cut off
    then simply has no last step, and ``begin`` of the next one ends it.
    """

    def __init__(self, folder: str | Path, spec: Spec) -> None:
        self._folder, self._spec = Path(folder), spec
        self._path: Path | None = None
        self._offset = 0
        self._latest: Observation | None = None
        self._view, self._index = View(), 0
        self.episodes = 0

    def poll(self) -> Iterator[Observation | Transition]:
        """What has been written since the last call: an episode's first observation, its steps.

        Raises:
            LogError: a file of another spec or format.
        """
        while True:
            yield from self._rest_of_file()
            following = self._next_file()
            if following is None:
                return
            yield from self._rest_of_file()  # what came between the look at file and folder
            self._path, self._offset, self._latest = following, 0, None

    def _next_file(self) -> Path | None:
        files = episode_files(self._folder)
        if self._path is None:
            return files[0] if files else None
        later = [path for path in files if path.name > self._path.name]
        return later[0] if later else None

    def _rest_of_file(self) -> Iterator[Observation | Transition]:
        if self._path is None:
            return
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError as error:
            raise LogError(f"{self._path}: cannot be read: {error.strerror}") from None
        at = 0
        for record in unpack(data):
            if isinstance(record, Broken):
                return
            _, length, _ = HEAD.unpack_from(data, at)
            at += HEAD.size + length
            self._offset += HEAD.size + length
            arrays, values = record
            if self._latest is None:
                spec = checked_spec(self._path, values, self._spec)
                self._latest = first_observation(arrays, values, spec)
                self._view, self._index = views(self._folder).get(self._path.name, View()), 0
                self.episodes += 1
                if self._view.first == 0:
                    yield self._latest
            elif "fault" not in values:
                step = transition(arrays, values, self._latest)
                self._latest, index = step.next_observation, self._index
                self._index += 1
                if self._index == self._view.first:
                    yield self._latest
                elif self._view.keeps(index):
                    yield self._view.of(index, step)
