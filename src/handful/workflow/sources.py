"""What a run learns from before it moves: sessions, and which of their episodes serve for what.

Every picture serves the contrast. What is cloned, and what the demonstrated half of every batch is
drawn from, are the steps of demonstrations that ended in success; nothing else gets there.

============= ======================================== ========== =================
role          what it is                               contrast   cloning, demo half
============= ======================================== ========== =================
demonstration somebody showed it, and it succeeded     yes        yes
failed        it did not succeed, or was cut off       yes        no
play          nobody meant anything by it              yes        no
policy        an agent's own, and it succeeded         yes        no
============= ======================================== ========== =================
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from handful.contract import Spec
from handful.rig.edits import View, views
from handful.rig.episodes import Episode
from handful.rig.playback import being_written, episode_files, read_file, whole_length
from handful.workflow.data.sessions import DataError, ended_well, find_sessions, same_spec
from handful.workflow.errors import RunError
from handful.workflow.results import read_json, write_json
from handful.workflow.run_folder import RunFolder

ROLES = ("demonstration", "play", "failed", "policy")


@dataclass(frozen=True)
class Given:
    """One ``--sessions``: where, and what it is; None: as its episodes say of themselves."""

    path: Path
    role: str | None = None


@dataclass(frozen=True)
class Recorded:
    """One episode that is learned from. seed: its world in the twin, with ``task``; else None."""

    session: Path
    path: Path
    view: View
    role: str
    steps: int
    task: str | None
    seed: int | None

    def read(self) -> Episode:
        """The episode itself, edits in force; demonstrated steps say that they are."""
        episode = read_file(self.path, None, self.view)
        if episode is None:  # pragma: no cover - it had steps a moment ago
            raise DataError(f"{self.path}: has no whole step any more")
        shown = self.role == "demonstration"
        return replace(episode, transitions=[replace(t, demo=shown) for t in episode.transitions])


@dataclass(frozen=True)
class Sources:
    """The episodes a run learns from before it moves, and their spec (None: there are none)."""

    episodes: tuple[Recorded, ...]
    spec: Spec | None

    @property
    def demonstrations(self) -> list[Recorded]:
        """What is cloned and what fills the demonstrated half of every batch."""
        return [one for one in self.episodes if one.role == "demonstration"]

    @property
    def others(self) -> list[Recorded]:
        """What only the contrast looks at."""
        return [one for one in self.episodes if one.role != "demonstration"]

    def feed(self, learner: Any) -> int:
        """Replay the demonstrations into the learner; how many."""
        return play_back(learner, self.demonstrations)

    def rows(self) -> list[dict[str, Any]]:
        """Per session and role: episodes, steps, and how many of them serve for what."""
        found = []
        for session, role in dict.fromkeys((one.session, one.role) for one in self.episodes):
            here = [o.steps for o in self.episodes if (o.session, o.role) == (session, role)]
            steps, shown = sum(here), role == "demonstration"
            used = {"contrast": steps, "cloning": steps * shown, "demo half": steps * shown}
            row = {"session": str(session), "role": role, "episodes": len(here), "steps": steps}
            found.append({**row, **used})
        return found

    def table(self) -> str:
        """The same for people, a line each."""
        rows = self.rows()
        names = ["session", "role", "episodes", "steps", "contrast", "cloning", "demo half"]
        lines = [names]
        for row in rows:
            cells = [row[name] for name in names]
            lines.append([c if isinstance(c, str) else f"{c:,}" if c else "-" for c in cells])
        wide = [max(len(line[k]) for line in lines) for k in range(len(names))]
        return "\n".join(
            "  ".join(
                cell.ljust(w) if k < 2 else cell.rjust(w)
                for k, (cell, w) in enumerate(zip(line, wide, strict=True))
            )
            for line in lines
        )


def play_back(sink: Any, episodes: Iterable[Recorded]) -> int:
    """Give episodes to whatever has ``begin`` and ``add``, as if they were happening; how many."""
    count = 0
    for count, one in enumerate(episodes, start=1):  # noqa: B007 - the last one is the count
        episode = one.read()
        sink.begin(episode.observation)
        for transition in episode.transitions:
            sink.add(transition)
    return count


def parse(text: str, option: str = "--sessions") -> Given:
    """``data/monday`` or ``play=data/monday``; option: how errors call it.

    Raises:
        DataError: the word before the ``=`` is no role and the whole is no folder.
    """
    role, mark, path = text.partition("=")
    if not mark or Path(text).exists():
        return Given(Path(text))
    if role not in ROLES:
        raise DataError(
            f"{option} {text}: {role!r} is no role; there are: {', '.join(ROLES)} "
            "(or leave it out, and the episodes speak for themselves)"
        )
    return Given(Path(path), role)


def remember(run: RunFolder, given: Iterable[Given]) -> None:
    """Write down what the run learns from beside its own folders, so that training finds it."""
    values = [{"path": str(one.path.resolve()), "role": one.role} for one in given]
    write_json(run.sources, {"sessions": values})


def remembered(run: RunFolder) -> list[Given]:
    """What ``remember`` wrote; nothing when it never did.

    Raises:
        RunError: the file is not what it wrote.
    """
    values = read_json(run.sources)
    if values is None:
        return []
    try:
        return [Given(Path(one["path"]), one["role"]) for one in values["sessions"]]
    except (KeyError, TypeError) as error:
        raise RunError(f"{run.sources}: expected a list of sessions: {error!r}") from None


def take(run: RunFolder, spec: Spec, named: Sequence[Given]) -> Sources:
    """``gather`` with these sessions in place of those the run remembers; it remembers these then.

    What is refused is not remembered. None named: as it remembers.

    Raises:
        RunError: as ``gather`` does; or the run is pre-trained already, and not with these.
    """
    if not named:
        return gather(run, spec)
    given = [Given(one.path.resolve(), one.role) for one in named]
    if given == remembered(run):
        return gather(run, spec)
    sources = gather(run, spec, given)
    if run.pretrained.exists() or run.checkpoint.exists():
        words = " ".join(f"--sessions {f'{o.role}=' if o.role else ''}{o.path}" for o in given)
        raise RunError(
            f"{run}: is pre-trained already, and not with these sessions; "
            f"handful pretrain --run {run} --again {words} does it anew"
        )
    remember(run, given)
    return sources


def gather(
    run: RunFolder, spec: Spec | None = None, named: Sequence[Given] | None = None
) -> Sources:
    """The run's own ``demos`` and ``play``, and the sessions it was told of (or those ``named``).

    A torn tail in its own folders is read past with a warning, as everywhere; in a session that
    was named it is refused, because somebody believes it to be whole.

    Raises:
        RunError: a session that is gone, empty, half-written, or of another spec.
    """
    named = remembered(run) if named is None else named
    mine = [Given(run.demos), Given(run.play)]
    found: list[Recorded] = []
    seen: set[tuple[int, int]] = set()
    for given in (*mine, *named):
        strict = given in named
        for session in find_sessions(given.path) if strict else [given.path]:
            said = views(session)
            for path in episode_files(session):
                stat = path.stat()
                if (stat.st_dev, stat.st_ino) in seen:
                    continue
                seen.add((stat.st_dev, stat.st_ino))
                if strict:
                    refuse_half_written(path)
                view = said.get(path.name, View())
                episode = read_file(path, None, view)
                if episode is None:
                    continue
                spec = spec or episode.spec
                fits(spec, episode.spec, path)
                found.append(_recorded(session, episode, view, given.role))
    if named and not found:
        raise DataError(
            f"{named[0].path}: holds no whole step, so there is nothing to learn from; "
            "look: handful data check"
        )
    return Sources(tuple(found), spec if found else None)


def refuse_half_written(path: Path) -> None:
    """Refuse a file that is being written, or whose end is torn.

    Raises:
        DataError: it is one; the message says what helps.
    """
    if being_written(path):
        raise DataError(f"{path}: is being written at this moment; wait for its recorder to end it")
    whole_bytes, _ = whole_length(path)
    if whole_bytes < path.stat().st_size or not whole_bytes:
        raise DataError(
            f"{path}: is half-written, from byte {whole_bytes} on nothing can be read; "
            f"handful data check --repair {path.parent} keeps every whole step"
        )


def fits(ours: Spec, theirs: Spec, path: Path) -> None:
    """Refuse an episode of another spec.

    Raises:
        DataError: naming what differs and the way out.
    """
    try:
        same_spec(ours, theirs, path)
    except DataError as error:
        raise DataError(f"{error}; {_way_out(ours, theirs)}") from None


def _way_out(ours: Spec, theirs: Spec) -> str:
    if ours.cameras != theirs.cameras:
        if set(theirs.cameras) < set(ours.cameras):
            names = ", ".join(theirs.cameras)
            return f"learn with these alone: --set 'agent.cameras=[{names}]' in another --run"
        return "name the recording's rig: --rig FILE.yaml in another --run, or leave it out"
    if (ours.height_px, ours.width_px) != (theirs.height_px, theirs.width_px):
        return (
            "pictures are not scaled here; take an agent that wants this size "
            "(agent.encoder.input_px, augment), or record again"
        )
    if ours.frame_stack != theirs.frame_stack:
        return (
            f"take --set agent.frame_stack={theirs.frame_stack} in another --run, or leave it out"
        )
    return "leave this session out, or learn from it alone, in another --run with its rig"


def _recorded(session: Path, episode: Episode, view: View, asked: str | None) -> Recorded:
    seed, task = episode.info.get("seed"), episode.info.get("task") or episode.meta.get("task")
    return Recorded(
        session,
        episode.path,
        view,
        role_of(episode, asked),
        len(episode.transitions),
        str(task) if task else None,
        seed if isinstance(seed, int) else None,
    )


def role_of(episode: Episode, asked: str | None = None) -> str:
    """What an episode is for, as asked or as it says itself; what failed is never demonstrated."""
    well = ended_well(episode)
    if asked == "demonstration":
        return "demonstration" if well else "failed"
    if asked is not None:
        return asked
    source = episode.info.get("source") or episode.meta.get("source")
    if source == "play":
        return "play"
    if not well:
        return "failed"
    return "demonstration" if episode.demo else "policy"
