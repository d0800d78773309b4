"""What something is, as one number: SHA-256 of canonical JSON, of acting weights, of the code.

Canonical JSON here: keys sorted, no spaces, UTF-8, no NaN; the same values give the same bytes on
every machine. Weights are read from the safetensors file as bytes, so nothing here needs torch.
"""

import functools
import hashlib
import json
import re
from pathlib import Path
from typing import Any

ACTING = ("encoder", "policy", "clone", "target_critic", "critic.latent")
"""The networks that acting looks at, as ``learn.handout`` hands them out."""
MOVING = ("contract.py", "config.py", "rig", "learn")
"""What turns pictures into commands: files and rooms of this package, settings and wires apart."""
_NAME = re.compile(r"(?:agent[/.])?(.+)")
_MOST_BYTES = 100_000_000
"""A safetensors header that claims to be longer is not one [bytes]; the format's own limit."""


class DigestError(ValueError):
    """A file whose content has no digest; the message names it and why."""


def canonical(values: Any) -> str:
    """The one text of JSON-ready ``values``. Raises ``ValueError`` for NaN and infinity."""
    return json.dumps(
        values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def sha256(values: Any) -> str:
    """Digest of JSON-ready ``values``, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()


def weights(path: str | Path) -> str:
    """Digest of what acts in a checkpoint or in handed-out weights; alike in both.

    Names, shapes, types and bytes of the acting networks, with the settings and the shapes they
    were made for. Optimisers, generators and counters do not count: they move no arm.

    Raises:
        DigestError: no such file, or not a learner's safetensors file.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _MOST_BYTES:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(file.read(length))
            meta = json.loads(header.pop("__metadata__")["handful.meta"])
            total = hashlib.sha256(sha256([meta["settings"], meta["spec"]]).encode())
            acting = {name: e for n, e in header.items() if (name := _acting_name(n))}
            for name, entry in sorted(acting.items()):
                begin, end = entry["data_offsets"]
                file.seek(8 + length + begin)
                content = file.read(end - begin)
                if len(content) != end - begin:
                    raise ValueError(f"{name} is cut short")
                total.update(canonical([name, entry["dtype"], entry["shape"]]).encode())
                total.update(hashlib.sha256(content).digest())
    except FileNotFoundError:
        raise DigestError(f"{path}: no such weights") from None
    except OSError as error:
        raise DigestError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DigestError(f"{path}: not weights of handful: {error}") from None
    return total.hexdigest()


def updates(path: str | Path) -> int:
    """Gradient updates behind the weights in a file. Raises as ``weights`` does."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            meta = json.loads(json.loads(file.read(length))["__metadata__"]["handful.meta"])
            return int(meta["updates"] if "updates" in meta else meta["version"])
    except OSError as error:
        raise DigestError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise DigestError(f"{path}: not weights of handful: {error}") from None


@functools.cache
def code() -> str:
    """Digest of the source of everything between a picture and a command, as it lies on the disk.

    Docs, settings, tests, wires and the twin may change without changing it.
    """
    home = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for part in MOVING:
        path = home / part
        for file in sorted(path.glob("**/*.py")) if path.is_dir() else [path]:
            total.update(canonical([file.relative_to(home).as_posix()]).encode())
            total.update(hashlib.sha256(file.read_bytes().replace(b"\r\n", b"\n")).digest())
    return total.hexdigest()


def _acting_name(name: str) -> str:
    """``agent/encoder.0.weight`` and ``encoder/0.weight`` are one; '' when it does not act."""
    match = _NAME.fullmatch(name.replace("/", "."))
    plain = match[1] if match else ""
    return plain if plain.startswith(tuple(f"{part}." for part in ACTING)) else ""
