"""The door from the command to the measurements in ``benchmarks/`` of a checkout."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from handful.workflow.errors import RunError

WHAT = ("twin", "learner", "ros")


def run_bench(what: str, folder: Path, **options: Any) -> dict[str, Any]:
    """Run ``run_<what>_bench(**options)`` of ``<folder>/bench_<what>.py`` and return its numbers.

    Raises:
        RunError: no such file: the benchmarks are part of a checkout, not of an installed package.
    """
    file = folder / f"bench_{what}.py"
    if not file.is_file():
        raise RunError(
            f"{file}: not there; the benchmarks come with a checkout of handful: "
            "run this from its root, or give --benchmarks DIR"
        )
    function = f"run_{what}_bench"
    bench = getattr(_load(file), function, None)
    if not callable(bench):
        raise RunError(f"{file}: has no function {function}()")
    numbers: dict[str, Any] = bench(**options)
    return numbers


def _load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    beside = str(file.parent.resolve())
    sys.path.insert(0, beside)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(beside)
    return module


def table(numbers: dict[str, Any]) -> str:
    """Numbers for people: one ``key  value`` line each; nested things are left to ``--json``."""
    flat = {k: v for k, v in numbers.items() if isinstance(v, int | float | str)}
    width = max((len(key) for key in flat), default=0)
    return "\n".join(f"{key:<{width}}  {_shown(value)}" for key, value in flat.items())


def _shown(value: float | str) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
