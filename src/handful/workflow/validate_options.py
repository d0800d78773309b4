"""`handful validate`: its options, and what it says when it is done."""

from pathlib import Path
from typing import Any

import click

from handful.workflow.options import device_option, output_options

NOT_PASSED = 1
"""Exit code when the certificate says that it does not pass; it is written all the same."""


@click.command(short_help="Put a policy through the twin; certify it for the arm.")
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=click.Path(path_type=Path))
@click.option(
    "--severities",
    metavar="NAME,NAME",
    help="Only these of the severities in the settings; the gate wants all it has thresholds for.  "
    "[default: all]",
)
@click.option(
    "--episodes",
    type=click.IntRange(1),
    metavar="N",
    help="Episodes of each severity; below thresholds.min_episodes (100) nothing passes.  "
    "[default: 100]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 99),
    default=0,
    show_default=True,
    help="Which worlds: episode i is world 6,000,000 + 10,000 SEED + i, used by nothing else.",
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="GROUP.KEY=VALUE",
    help="How the arm's cell differs from the run's settings; may be repeated. Example, for the "
    "first day: --set rig.guard.max_speed_m_s=0.3",
)
@click.option(
    "--settings",
    metavar="FILE.yaml",
    help="Severities, curves and thresholds.  [default: config/validate.yaml]",
)
@click.option("--no-sensitivity", is_flag=True, help="Skip the curves over delay and camera shift.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where certificate.json and report.html go.  [default: validation/ beside CHECKPOINT]",
)
@device_option
@output_options
def validate(**given: Any) -> None:
    """Put a policy through the twin before it may act on the arm, and certify what was seen.

    Episodes at every severity of config/validate.yaml: success with its 95 % Wilson interval, what
    the guard did, every command against the limits again, the fastest the tip was and the hardest
    it pushed; curves over delay and camera shift; films of failures. Writes certificate.json, which
    rig.launch asks for, and report.html. Exit code 1 when a demand is not met (docs/validation.md).

    \b
    Example: handful validate runs/mine
             handful validate runs/mine --severities nominal --episodes 20 --no-sensitivity
    """
    validate_command(given)


def validate_command(given: dict[str, Any]) -> None:
    """What the command does between its options and its last line."""
    from handful.workflow.console import Console
    from handful.workflow.process import use_threads
    from handful.workflow.results import write_json
    from handful.workflow.validate import Asked
    from handful.workflow.validate import validate as run
    from handful.workflow.validate_settings import SHIPPED, load_validate

    console = Console(given.get("json_path") == "-")
    use_threads(1)  # one observation at a time: a second thread is only waited for
    names = tuple(n for n in (given.get("severities") or "").split(",") if n)
    asked = Asked(
        names,
        given.get("episodes"),
        given["seed"],
        tuple(given.get("sets") or ()),
        given.get("device"),
        given.get("out"),
        not given.get("no_sensitivity"),
    )
    settings = load_validate(given.get("settings") or SHIPPED)
    certificate, page = run(given["checkpoint"], asked, settings, console)
    for s in certificate.values["severities"]:
        console.say(
            f"{s['name']}: {s['successes']} of {s['episodes']} succeeded "
            f"({100 * s['success_low']:.1f} to {100 * s['success_high']:.1f} %), "
            f"{s['violations']} of {s['commands']:,} commands outside a limit, "
            f"tip up to {s['max_measured_speed_m_s']:.2f} m/s, "
            f"push up to {s['max_force_n']:.0f} N ({s['stops']} episodes stopped by it)"
        )
    verdict = certificate.values["verdict"]
    word = (
        "passes"
        if verdict["passed"]
        else "safe to learn, does not pass"
        if verdict["safe"]
        else ("does not pass")
    )
    console.say("\n  ".join([f"{certificate.path}: {word}", *verdict["failures"]]))
    console.say(str(page))
    if given.get("json_path"):
        write_json(given["json_path"], dict(certificate.values))
    if not verdict["passed"]:
        click.get_current_context().exit(NOT_PASSED)
