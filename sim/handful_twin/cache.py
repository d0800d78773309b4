"""Where what is made from installed meshes is kept: made once, read from then on."""

import os
import tempfile
from pathlib import Path

_temporary: list[Path] = []


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/handful`` or ``~/.cache/handful``; a temporary one if not writable."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(base).expanduser() / "handful"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):
        pass
    # Not a fixed name: in a folder that everybody may write to, somebody else may own it.
    if not _temporary:
        _temporary.append(Path(tempfile.mkdtemp(prefix="handful-")))
    return _temporary[0]
