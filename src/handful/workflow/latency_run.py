"""What ``handful calibrate latency`` does between its options and its last line."""

from typing import Any

from handful.config import load, parse_overrides
from handful.rig.settings import RigSettings
from handful.workflow.calibrate_run import only
from handful.workflow.console import Console
from handful.workflow.errors import RunError
from handful.workflow.process import hush
from handful.workflow.results import commit, write_json
from handful.workflow.twin_overrides import load_twin, write_twin


def latency_command(given: dict[str, Any]) -> None:
    """``handful calibrate latency``."""
    console = Console(given.get("json_path") == "-")
    sets = parse_overrides(given["sets"])
    only(sets, ("rig", "twin", "live"))
    way: dict[str, float] = {}
    if given["over_ros"]:
        if given.get("out"):
            load_twin(given["twin"])  # what it cannot take is said before an arm has moved
        motions, way = _over_ros(given, console)
    else:
        motions = _rehearsed(given, sets, console)
    from handful.workflow.latency_fit import estimate

    found = estimate(motions)
    numbers: dict[str, Any] = {**found.numbers(), **way}

    def say(what: str, value: dict[str, Any]) -> None:
        console.say(
            f"{what:22} {1000 * value['mean_s']:6.1f} ms   "
            f"({1000 * value['low_s']:.1f} to {1000 * value['high_s']:.1f}, 95 %)"
        )

    if way:
        console.say(f"{'action to guard':22} {1000 * way['action_to_guard_s']:6.1f} ms   (median)")
    say("command to motion", numbers["command"])
    say("then to 63 %", numbers["response"])
    say("smooth path follows by", numbers["follow"])
    if way:
        console.say(f"{'arm state':22} {1000 * way['state_age_s']:6.1f} ms old   (median)")
    for name in numbers["age"]:
        say(f"pictures of {name}", numbers["age"][name])
        say("  error of their stamps", numbers["stamp_error"][name])
    if given.get("out"):
        ages = [value.mean_s for value in found.age.values()]
        changes = {"delay.command_s": round(max(0.0, found.command.mean_s), 4)}
        if ages:
            changes["delay.frame_s"] = round(max(0.0, sum(ages) / len(ages)), 4)
        where = " --ros" if given["over_ros"] else ""
        notes = [f"{given['twin']} with delays of handful calibrate latency{where}, "
                 f"commit {commit()}:"]  # fmt: skip
        write_twin(given["twin"], changes, given["out"], notes)
        console.say(f"{given['out']}: the twin with these delays; give it as --twin")
    if given.get("json_path"):
        write_json(given["json_path"], numbers)


def _rehearsed(given: dict[str, Any], sets: dict[str, Any], console: Console) -> list[Any]:
    """Motions of the live twin in virtual time."""
    twin = load_twin(given["twin"], sets.get("twin"))
    rig = load(RigSettings, given["rig"] or "rig", sets.get("rig"))
    with hush():
        from handful_twin.settings import LiveSettings
        from handful_twin.stage import Stage
        from handful_twin.tasks import make_task

        from handful.workflow.latency_cell import LiveCell
    from handful.workflow.latency import record

    live = load(LiveSettings, given["live"] or "node/twin", sets.get("live"))
    cell = LiveCell(Stage(make_task("reach"), rig, twin), live)
    try:
        with console.progress("latency", given["repeat"], "repetitions") as bar:
            motions = []
            for k in range(given["repeat"]):
                motions.append(
                    record(cell.arm, cell.cameras, cell.clock, k, amplitude_m=given["amplitude_m"])
                )
                bar.update(k + 1)
    finally:
        cell.close()
    return motions


def _over_ros(given: dict[str, Any], console: Console) -> tuple[list[Any], dict[str, float]]:
    """Motions of the running graph's arm."""
    for option in ("rig", "live", "sets"):
        if given[option]:
            raise RunError(
                f"--{option.removesuffix('s')} does not go with --ros: the running graph has its "
                "own settings"
            )
    try:
        from handful.workflow.latency_ros import measure
    except ImportError:
        raise RunError(
            "--ros needs ROS (`make ros`, then source its setup); without it the twin plays the "
            "cell in virtual time"
        ) from None
    return measure(given["repeat"], given["seconds"], given["amplitude_m"], console)
