"""Which errors are sentences for people, and which are bugs with a traceback."""

import errno
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class RunError(RuntimeError):
    """A run folder, stage or result that cannot be used; the message names it and the way out."""


def refuse_nonsense(metrics: Mapping[str, float], updates: int, checkpoint: Path) -> None:
    """Stop a training whose numbers are no numbers.

    Args:
        metrics: of its last update. updates: how many there were. checkpoint: the last good one.

    Raises:
        RunError: one of them is infinite or NaN.
    """
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise RunError(
                f"{name} became {value} after {updates:,} updates: training has diverged; the last "
                f"good checkpoint is kept in {checkpoint}. Lower the learning rates "
                "(agent.critic.lr, agent.actor.lr)"
            )


_ROOMS = ("handful", "handful_twin", "handful_config")


@contextmanager
def telling() -> Iterator[None]:
    """Around the main function of a script: an expected error ends it with its one line."""
    try:
        yield
    except Exception as error:
        if (told := sentence(error)) is None:
            raise
        raise SystemExit(told) from None


def sentence(error: BaseException) -> str | None:
    """One line for an expected error, or ``None`` when ``error`` is a bug.

    Every exception class defined in our own rooms is written for people (the house rule: name the
    thing, the value, what would have been right), so such errors are expected wherever they come
    from. Besides those: a full or read-only disk, a missing extra, a GPU out of memory.
    """
    if type(error).__module__.partition(".")[0] in _ROOMS:
        return _one_line(error)
    if isinstance(error, OSError) and error.errno in {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
    }:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}; nothing that was already recorded is lost"
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        if top not in _ROOMS:
            return (
                f"the Python package {top!r} is not installed, and this command needs it; "
                "`pip install -e '.[sim]'` brings everything the twin and the learner need"
            )
    if type(error).__name__ == "OutOfMemoryError":
        return (
            f"the GPU ran out of memory ({_one_line(error)[:160]}); "
            "try a smaller --set agent.batch_size=N, or --device cpu"
        )
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
