"""Which certified weights learning began with: remembered beside them, over a restart of the agent.

While it learns, the checkpoint changes every minute, and an agent that is started again finds other
weights than the certificate is about. That they descend from those is written down once, when the
two are seen to be the same.
"""

import contextlib
import json
import os
from pathlib import Path

from handful.rig.certificate import Certificate

NAME = "lineage.json"


def began_with(folder: Path, weights: str, held: Certificate) -> str:
    """Digest of the weights that ``held`` has to be about.

    Its own, when ``weights`` are those (which is then remembered in ``folder``) or descend from
    them by what is remembered there; otherwise ``weights``, which it is not about.

    Raises ``OSError`` when it cannot be remembered.
    """
    path = folder / NAME
    line = {"certificate": held.id, "weights": held.weights}
    if weights == held.weights:
        _remember(path, line)
        return weights
    with contextlib.suppress(OSError, ValueError):
        if json.loads(path.read_text(encoding="utf-8")) == line:
            return held.weights
    return weights


def _remember(path: Path, line: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(line) + "\n", encoding="utf-8")
    os.replace(temporary, path)
