"""The numbers of a finished run, with their uncertainty, and where they were made."""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from handful.workflow.errors import RunError

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


def wilson(successes: int, episodes: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a success probability (Wilson 1927, eq. for p1, p2).

    Unlike p +- z s it stays inside [0, 1] and is honest at 50 of 50: (0.929, 1.0).
    """
    if not 0 <= successes <= episodes or episodes < 1:
        raise ValueError(f"expected 0 <= successes <= episodes >= 1, got {successes}, {episodes}")
    p, zz = successes / episodes, z * z / episodes
    centre, half = p + zz / 2, z * math.sqrt(p * (1 - p) / episodes + zz / (4 * episodes))
    low, high = (centre - half) / (1 + zz), (centre + half) / (1 + zz)
    return max(0.0, min(low, p)), min(1.0, max(high, p))


def quantile(values: Sequence[float], q: float) -> float:
    """The nearest-rank ``q`` quantile of ``values``; NaN when there are none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, max(0, math.ceil(q * len(ordered)) - 1))])


def commit(folder: Path | None = None) -> str:
    """Short hash of the checkout the code is in, ``+`` when changed; ``unknown`` without git."""
    where = folder or Path(__file__).resolve().parent
    text = _git(where, "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*")
    return text or "unknown"


def machine() -> dict[str, Any]:
    """What the numbers were measured on: processor, usable cores, memory, accelerator, system."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name(0)
    return facts


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for name in ("handful", "torch", "numpy", "pybullet", "numba", "opencv-python", "gymnasium"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_json(path: str | Path, values: dict[str, Any]) -> None:
    """Write one JSON object, whole or not at all; ``-`` writes to stdout."""
    text = json.dumps(values, indent=2, allow_nan=False, default=str) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    write_text(Path(path), text)


def read_json(path: Path) -> dict[str, Any] | None:
    """One JSON object, or ``None`` when there is no such file.

    Raises:
        RunError: the file is not a JSON object.
    """
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"{path}: expected one JSON object, got {type(values).__name__}")
    return values


def write_text(path: Path, text: str) -> None:
    """Write a text file through a temporary neighbour, so a full disk leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
