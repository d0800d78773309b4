"""What each ``handful data`` command does between its options and its last line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from handful.rig import edits
from handful.rig.edits import View
from handful.rig.playback import read_file
from handful.workflow.console import Console
from handful.workflow.data import arrange
from handful.workflow.data.check import check_session
from handful.workflow.data.repair import repair
from handful.workflow.data.sessions import (
    DataError,
    Row,
    find_sessions,
    numbers,
    one_session,
    picked_files,
    rows,
)
from handful.workflow.results import write_json


def _console(given: dict[str, Any]) -> Console:
    return Console(json_on_stdout=given.get("json_path") == "-")


def _tell(given: dict[str, Any], values: dict[str, Any]) -> None:
    if given.get("json_path"):
        write_json(given["json_path"], values)


def _list(given: dict[str, Any]) -> int:
    console = _console(given)
    found = [one for session in find_sessions(given["path"]) for one in rows(session)]
    for session in dict.fromkeys(one.session for one in found):
        here = [one for one in found if one.session == session]
        console.say(f"{session}\n{table(here)}")
    whole = [one for one in found if one.steps]
    console.say(
        f"{len(found)} episodes, {sum(o.success is True for o in whole)} successful, "
        f"{sum(o.steps for o in whole):,} steps, {sum(o.seconds for o in whole):,.1f} s, "
        f"{size(sum(o.bytes for o in found))}"
    )
    _tell(given, {"episodes": [one.to_dict() for one in found]})
    return 0


def table(found: list[Row]) -> str:
    """Rows as columns for people."""
    names = ["ep", "steps", "success", "s", "size", "source", "task", "seed", "commit", ""]
    lines = [names]
    for one in found:
        notes = [f"{one.edits} edits"] if one.edits else []
        notes += [one.fault or "cut off"] if not one.complete else []
        success = {True: "yes", False: "no", None: "?"}[one.success]
        words = [one.source, one.task, one.seed, one.commit, "; ".join(notes)]
        plain = [str(one.episode), str(one.steps), success, f"{one.seconds:.1f}", size(one.bytes)]
        lines.append([*plain, *("-" if word is None else str(word) for word in words)])
    wide = [max(len(line[k]) for line in lines) for k in range(len(names))]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if k in (0, 1, 3, 4) else cell.ljust(w)
            for k, (cell, w) in enumerate(zip(line, wide, strict=True))
        ).rstrip()
        for line in lines
    )


def size(count: float) -> str:
    """Bytes for people, in powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _show(given: dict[str, Any]) -> int:
    from handful.workflow.data.show import write_page

    session = one_session(given["session"])
    (path,) = picked_files(session, {given["episode"]})
    view = View() if given["as_recorded"] else edits.views(session).get(path.name, View())
    episode = read_file(path, None, view)
    if episode is None:
        raise DataError(f"{path}: has no whole step to show; look: handful data check {session}")
    said = [edit for edit in edits.read(session) if edit.file == path.name]
    page = write_page(session, episode, said, given["out"] or path.with_suffix(".html"))
    _console(given).say(f"{page}: {len(episode.transitions)} steps; open it in a browser")
    _tell(given, {"page": str(page), "steps": len(episode.transitions)})
    return 0


def _check(given: dict[str, Any]) -> int:
    console, mended = _console(given), []
    found = [check_session(session) for session in find_sessions(given["path"])]
    for one in found:
        for problem in one.problems:
            console.say(str(problem))
        for note in one.notes:
            console.say(f"{note} (no problem)")
    left = [p for one in found for p in one.problems]
    if given["repair"]:
        for path in dict.fromkeys(p.file for p in left if p.bytes_):
            mended.append(repair(path))
            console.say(f"repaired {mended[-1]}")
        left = [p for one in found for p in check_session(one.session).problems]
        if mended and left:
            console.say(f"{len(left)} problems are not in the bytes and stay; see above")
    episodes, steps = sum(o.episodes for o in found), sum(o.steps for o in found)
    console.say(
        f"{episodes} episodes, {steps:,} whole steps, {size(sum(o.bytes for o in found))} read: "
        + (f"{len(left)} problems" if left else "nothing wrong" + (" any more" if mended else ""))
    )
    values: dict[str, Any] = {
        "episodes": episodes,
        "steps": steps,
        "problems": [{"file": str(p.file), "byte": p.byte, "text": p.text} for p in left],
        "repaired": [str(one.file) for one in mended],
    }
    _tell(given, values)
    return 1 if left else 0


def _trim(given: dict[str, Any]) -> int:
    session = one_session(given["session"])
    edit = arrange.trim(
        session, given["episode"], given["first"], given["end"], who=given["who"], why=given["why"]
    )
    _console(given).say(
        f"{session / edit.file}: steps {edit.first} to {edit.end} of {edit.steps} count now; "
        "take it back with handful data relabel --undo"
    )
    _tell(given, {"file": edit.file, "first": edit.first, "end": edit.end, "steps": edit.steps})
    return 0


def _relabel(given: dict[str, Any]) -> int:
    session = one_session(given["session"])
    wanted = numbers(given["episodes"])
    assert wanted is not None
    said = arrange.relabel(
        session, wanted, success=given["success"], reward=given["reward"], undo=given["undo"],
        who=given["who"], why=given["why"],
    )  # fmt: skip
    _console(given).say(f"{session}: {len(said)} episodes relabelled by {said[0].who}")
    _tell(given, {"files": [edit.file for edit in said]})
    return 0


def _merge(given: dict[str, Any]) -> int:
    wanted = numbers(given["episodes"])
    sources = [(s, wanted) for path in given["sessions"] for s in find_sessions(path)]
    made = arrange.merge(given["out"], sources, given["pictures"])
    _console(given).say(f"{given['out']}: {len(made)} episodes from {len(sources)} sessions")
    _tell(given, {"files": [str(path) for path in made]})
    return 0


def _split(given: dict[str, Any]) -> int:
    parts = arrange.split(
        one_session(given["session"]), given["out"], given["share"], given["seed"]
    )
    train, held_out = (len(part) for part in parts)
    _console(given).say(f"{given['out']}: {train} episodes in train, {held_out} in held_out")
    _tell(given, {"train": train, "held_out": held_out})
    return 0


def _export(given: dict[str, Any]) -> int:
    from handful.workflow.data import exchange

    session = one_session(given["session"])
    told = exchange.export(
        session, given["out"], given["kind"], numbers(given["episodes"]),
        pictures=given["pictures"], fps=given["fps"], task=given["task"],
    )  # fmt: skip
    console = _console(given)
    console.say(
        f"{given['out']}: {told['episodes']} episodes, {told['steps']:,} steps, "
        f"{size(told['bytes'])}, {told['fps']:g} frames a second"
        + (f", pictures at {told['psnr_db']:.1f} dB PSNR or better" if "psnr_db" in told else "")
    )
    _tell(given, told)
    return 0


def _import(given: dict[str, Any]) -> int:
    from handful.workflow.data import exchange

    told = exchange.bring_in(
        Path(given["source"]), given["out"], task=given["task"], pictures=given["pictures"],
        rig=given["rig"], topics=given["topics"],
    )  # fmt: skip
    console = _console(given)
    for note in told["notes"]:
        console.say(note)
    console.say(f"{given['out']}: {told['episodes']} episodes, {told['steps']:,} steps")
    _tell(given, told)
    return 0


ACTIONS: dict[str, Callable[[dict[str, Any]], int]] = {
    "list": _list,
    "show": _show,
    "check": _check,
    "trim": _trim,
    "relabel": _relabel,
    "merge": _merge,
    "split": _split,
    "export": _export,
    "import": _import,
}
