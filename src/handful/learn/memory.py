"""How much memory there is, said before any of it is taken."""

from pathlib import Path

_SHARE = 0.9


class ReplayTooLarge(MemoryError):
    """The replay asked for does not fit; the message says what would."""


def available_bytes() -> int | None:
    """Bytes this process may still take: the machine's free memory, cut to its control group's.

    ``None`` where the system does not say (no ``/proc``); then nothing is refused.
    """
    free = [value for value in (_machine(), _group_v2(), _group_v1()) if value is not None]
    return min(free) if free else None


def refuse_what_does_not_fit(needed: int, lowered: int, slots: int, setting: str) -> None:
    """Raise ``ReplayTooLarge`` when ``needed`` bytes for ``slots`` observations are not there.

    One tenth of what is free is left to the networks and to everybody else. ``setting`` is the key
    to lower, ``lowered`` its present value; the error says to what.
    """
    there = available_bytes()
    if there is None or needed <= _SHARE * there:
        return
    over = slots - int(_SHARE * there) * slots // needed
    remedy = (
        f"lower {setting} to {lowered - over} or less" if lowered > over else "free some memory"
    )
    raise ReplayTooLarge(
        f"replay: {slots} observations need {needed / 1e9:.2f} GB, {there / 1e9:.2f} GB available "
        f"of which {_SHARE:.0%} may be used; {remedy} (it is {lowered})"
    )


def _machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _group_v2() -> int | None:
    return _limit(Path("/sys/fs/cgroup"), "memory.max", "memory.current")


def _group_v1() -> int | None:
    folder = Path("/sys/fs/cgroup/memory")
    return _limit(folder, "memory.limit_in_bytes", "memory.usage_in_bytes")


def _limit(folder: Path, limit: str, used: str) -> int | None:
    try:
        most = (folder / limit).read_text(encoding="ascii").strip()
        taken = (folder / used).read_text(encoding="ascii").strip()
        cache = [
            int(line.split()[1])
            for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines()
            if line.startswith("inactive_file ")  # page cache the kernel gives back on demand
        ]
    except OSError:
        return None
    if not most.isdigit():
        return None  # "max": no limit
    return max(int(most) - int(taken) + sum(cache), 0)
