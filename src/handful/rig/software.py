"""Which software wrote an episode: version and commit, read without running git."""

import functools
from pathlib import Path

from handful import __version__

_SHORT = 10


@functools.cache
def software() -> dict[str, str]:
    """``{"handful": version, "commit": short hash}``; the commit is ``unknown`` outside a clone."""
    for folder in Path(__file__).resolve().parents:
        if (folder / ".git").is_dir():
            return {"handful": __version__, "commit": _commit(folder / ".git")}
    return {"handful": __version__, "commit": "unknown"}


def _commit(git: Path) -> str:
    try:
        head = (git / "HEAD").read_text("ascii").strip()
        if not head.startswith("ref: "):
            return head[:_SHORT]
        name = head[5:]
        if (git / name).is_file():
            return (git / name).read_text("ascii").strip()[:_SHORT]
        for line in (git / "packed-refs").read_text("utf-8").splitlines():
            if line.endswith(f" {name}"):
                return line[:_SHORT]
    except (OSError, UnicodeDecodeError):
        pass
    return "unknown"
