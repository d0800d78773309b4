"""Which kernels an update consists of and what each takes: torch's profiler over ten updates.

    python benchmarks/bench_kernels.py --profile curl --set compute.precision=bf16

On a GPU its kernels, inside the recorded graph too; without one, the operators of a CPU.
"""

import click
import torch
from noise_replay import filled
from torch.profiler import ProfilerActivity, profile

from handful.config import ConfigError, load, parse_overrides
from handful.learn.settings import AgentSettings

WARM, UPDATES = 12, 10  # every plan is recorded after three updates of its own


@click.command(help=str(__doc__).replace("\n\n    ", "\n\n\b\n    "))
@click.option("--profile", "name", default="curl", show_default=True, help="Of config/agent.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Change one setting of it.")
@click.option("--rows", default=40, show_default=True, help="Of the table, the longest first.")
def main(name: str, sets: tuple[str, ...], rows: int) -> None:
    """Print the table; the help is the module's."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        overrides = parse_overrides([f"agent.{one}" for one in sets]).get("agent")
        settings = load(AgentSettings, f"agent/{name}", overrides)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    cameras = () if settings.from_state else ("third",)
    learner = filled(f"agent/{name}", cameras, overrides, device=device)
    for _ in range(WARM):
        learner.step()
    kinds = [ProfilerActivity.CPU]
    if device == "cuda":
        kinds.append(ProfilerActivity.CUDA)
        torch.cuda.synchronize()
    with profile(activities=kinds) as seen:
        for _ in range(UPDATES):
            learner.step()
        if device == "cuda":
            torch.cuda.synchronize()
    found = seen.key_averages()
    print(f"{UPDATES} updates of {name} on {device}")
    print(found.table(sort_by=f"self_{device}_time_total", row_limit=rows))


if __name__ == "__main__":
    main()
