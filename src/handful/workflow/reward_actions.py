"""What each ``handful reward`` command does between its options and its last line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from handful.config import ConfigError, load, parse_overrides
from handful.learn import success
from handful.learn.success_settings import SuccessSettings
from handful.workflow import reward_train
from handful.workflow.console import Console
from handful.workflow.process import use_threads
from handful.workflow.results import write_json
from handful.workflow.reward_metrics import RULE, Row, choose
from handful.workflow.reward_page import write_page
from handful.workflow.reward_train import Judged


def _train(given: dict[str, Any]) -> None:
    console, settings = _begin(given), _settings(given)
    out = _ending(given["out"])
    with console.stages("reward") as stages:
        judged = reward_train.train(
            list(given["sessions"]), settings, given["seed"], given.get("encoder"), stages
        )
    judged.classifier.save(out)
    _tell(given, console, judged, out, f"Success, as learned: {out.name}")


def _evaluate(given: dict[str, Any]) -> None:
    console = _begin(given)
    judged = reward_train.evaluate(given["file"], list(given["sessions"]))
    _tell(given, console, judged, given["file"], f"{given['file'].name} on other sessions")


def _sweep(given: dict[str, Any]) -> None:
    console = _begin(given)
    judged = reward_train.evaluate(given["file"], list(given["sessions"]))
    chosen = choose(judged.rows)
    console.say(table([r for r in judged.rows if r.threshold in _SHOWN or r == chosen]))
    console.say(f"by the rule ({RULE}): {chosen.threshold:g}; the file has "
                f"{judged.classifier.threshold:g}")  # fmt: skip
    if given.get("write"):
        classifier = success.load(given["file"])
        classifier.threshold = chosen.threshold
        classifier.save(given["file"])
        console.say(f"{given['file']}: threshold {chosen.threshold:g}")
    _json(given, {**judged.to_dict(), "by_rule": chosen.to_dict()})


def _mine(given: dict[str, Any]) -> None:
    console, out = _begin(given), _ending(given["out"])
    with console.stages("reward") as stages:
        mined = reward_train.mine(given["file"], list(given["sessions"]), given["seed"], stages)
    mined.judged.classifier.save(out)
    before, after = mined.before, mined.after
    console.say(
        f"{mined.added} false frames added; on the other half of the episodes: false frames "
        f"{before.false_frames} -> {after.false_frames}, episodes ended wrongly "
        f"{before.wrong} -> {after.wrong} of {before.failures + before.successes}, missed "
        f"{before.missed} -> {after.missed} of {before.successes}"
    )
    more = {"added": mined.added, "before": before.to_dict(), "after": after.to_dict()}
    _tell(given, console, mined.judged, out, f"Success, as learned: {out.name}", more)


ACTIONS: dict[str, Callable[[dict[str, Any]], None]] = {
    "train": _train,
    "evaluate": _evaluate,
    "sweep": _sweep,
    "mine": _mine,
}
_SHOWN = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98)


def table(rows: list[Row]) -> str:
    """Thresholds for people."""
    lines = ["threshold  precision  recall  false episodes  early  missed"]
    for r in rows:
        lines.append(
            f"{r.threshold:9g}  {r.precision:9.3f}  {r.recall:6.3f}  "
            f"{f'{r.false_episodes} of {r.failures}':>14}  {r.early:5d}  {r.missed:6d}"
        )
    return "\n".join(lines)


def _begin(given: dict[str, Any]) -> Console:
    use_threads(None)
    return Console(json_on_stdout=given.get("json_path") == "-")


def _settings(given: dict[str, Any]) -> SuccessSettings:
    sets = parse_overrides(given.get("sets", ()))
    unknown = sorted(set(sets) - {"success"})
    if unknown:
        raise ConfigError(
            f"--set {unknown[0]}.…: no such group of settings here; there is: success"
        )
    return load(SuccessSettings, given.get("config") or "success", sets.get("success"))


def _ending(path: Path) -> Path:
    if path.suffix != ".safetensors":
        raise ConfigError(f"--out {path}: a classifier's file ends in .safetensors")
    return path


def _tell(
    given: dict[str, Any],
    console: Console,
    judged: Judged,
    file: Path,
    title: str,
    more: dict[str, Any] | None = None,
) -> None:
    where = write_page(judged, given.get("page") or file.with_suffix(".html"), title)
    r = judged.chosen
    console.say(
        f"{file}: threshold {r.threshold:g} held {judged.classifier.settings.hold_steps} steps; "
        f"frames: precision {r.precision:.3f}, recall {r.recall:.3f}; episodes: "
        f"{r.false_episodes} of {r.failures} failures called success, {r.early} of {r.successes} "
        f"successes ended early, {r.missed} missed"
    )
    for note in judged.notes:
        console.say(f"note: {note}")
    console.say(f"page: {where}")
    _json(given, {"file": str(file), "page": str(where), **judged.to_dict(), **(more or {})})


def _json(given: dict[str, Any], values: dict[str, Any]) -> None:
    if given.get("json_path"):
        write_json(given["json_path"], values)
