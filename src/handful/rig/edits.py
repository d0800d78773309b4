"""What people have said about an episode since it was recorded: its outcome, where it is cut.

Said in ``edits.jsonl`` beside the episodes, one line an edit, appended and synced, never written
over; the recording itself stays as it is. Whoever reads the session reads it with these in force,
the newest last, so ``undo`` is one more line. Steps are counted from 0 as they were recorded.
"""

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from handful.contract import Transition

NAME = "edits.jsonl"
_log = logging.getLogger(__name__)


class EditError(RuntimeError):
    """An edit that cannot be read or written; the message names the file and the line."""


@dataclass(frozen=True)
class Edit:
    """One thing somebody said.

    file: the episode's file name. steps: how many steps it had then. who, when (ISO 8601, UTC),
    why: for people. success: how it ended. reward: of its last step. first, end: the steps that
    count. undo: everything said before about this episode is taken back. None: not spoken of.
    """

    file: str
    steps: int
    who: str
    when: str
    why: str = ""
    success: bool | None = None
    reward: float | None = None
    first: int | None = None
    end: int | None = None
    undo: bool = False


@dataclass(frozen=True)
class View:
    """An episode as its edits make it: steps ``first`` to ``end`` (exclusive), and its outcome."""

    first: int = 0
    end: int | None = None
    success: bool | None = None
    reward: float | None = None
    steps: int | None = None
    edits: int = 0

    def keeps(self, index: int) -> bool:
        """Whether step ``index`` counts."""
        return index >= self.first and (self.end is None or index < self.end)

    def of(self, index: int, step: Transition) -> Transition:
        """Step ``index`` as it is now.

        A success ends the future (discount 0, reward 1 unless another is given); what was no
        success ends as at a time limit (reward 0, discount 1), because what would have come after
        is not known.
        """
        over = self.end if self.end is not None else self.steps
        if not self.edits or not (step.last or index + 1 == over):
            return step
        if self.end is not None:
            step = replace(step, last=True)
        if self.success is not None:
            step = replace(
                step,
                reward=1.0 if self.success else 0.0,
                discount=0.0 if self.success else 1.0,
                info={**step.info, "success": self.success},
            )
        return step if self.reward is None else replace(step, reward=self.reward)


def write(folder: Path, edit: Edit) -> None:
    """Append one edit; it is on the disk when this returns.

    Raises:
        EditError: it cannot be written; what was said before stands.
    """
    values = {k: v for k, v in asdict(edit).items() if v is not None and v is not False}
    if edit.success is False:
        values["success"] = False
    line = (json.dumps(values, ensure_ascii=False) + "\n").encode()
    path = folder / NAME
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":  # a line that was torn stays torn
                line = b"\n" + line
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise EditError(f"{path}: cannot be written: {error.strerror}") from None


def read(folder: Path) -> list[Edit]:
    """Everything that was said about a session, oldest first.

    A line that is not whole is left out with a warning.

    Raises:
        EditError: a whole line that is not an edit.
    """
    path = folder / NAME
    if not path.is_file():
        return []
    edits = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError:
            _log.warning("%s: line %d is torn and left out", path, number)
            continue
        try:
            edits.append(Edit(**values))
        except TypeError as error:
            raise EditError(f"{path}: line {number} is not an edit: {error}") from None
    return edits


def views(folder: Path) -> dict[str, View]:
    """The view of every episode that was spoken of, by its file's name."""
    found: dict[str, View] = {}
    for edit in read(folder):
        found[edit.file] = fold(found.get(edit.file, View()), [edit])
    return found


def move(folder: Path, name: str, target: Path) -> None:
    """What was said about episode ``name`` goes with its file to ``target``, in another session.

    In ``folder`` it is taken back, because a later episode may be given that name.

    Raises:
        EditError: either session's file cannot be read or written.
    """
    spoken = [edit for edit in read(folder) if edit.file == name]
    for edit in spoken:
        write(target.parent, replace(edit, file=target.name))
    if spoken:
        why = f"moved to {target.parent.name}/{target.name}"
        when = datetime.now(timezone.utc).isoformat(timespec="seconds")
        write(folder, Edit(name, spoken[-1].steps, "handful", when, why, undo=True))


def fold(view: View, edits: Iterable[Edit]) -> View:
    """``view`` with more said."""
    for edit in edits:
        if edit.undo:
            view = View()
            continue
        said = {
            name: value
            for name in ("first", "end", "success", "reward")
            if (value := getattr(edit, name)) is not None
        }
        if "success" in said and "reward" not in said:
            said["reward"] = None
        view = replace(view, **said, steps=edit.steps, edits=view.edits + 1)
    return view
