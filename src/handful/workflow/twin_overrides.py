"""The twin's settings with a few measured values in them: a file that ``--twin`` takes.

The file is whole, because the twin's settings have no second file to lean on; what was changed and
why stands in comments at its top, so that a reader finds it among all the rest.
"""

from pathlib import Path
from typing import Any

import yaml

from handful.config import build, read
from handful.workflow.process import hush
from handful.workflow.results import write_text


def load_twin(source: str | Path, overrides: dict[str, Any] | None = None) -> Any:
    """``TwinSettings`` of a file or shipped profile, with dotted overrides on top."""
    with hush():
        from handful_twin.settings import TwinSettings

    values, name = read(source)
    return build(TwinSettings, values, name, overrides)


def write_twin(source: str | Path, changes: dict[str, Any], path: Path, notes: list[str]) -> Any:
    """Write ``source`` with ``changes`` (dotted key -> value) to ``path``; what it reads back as.

    Raises:
        ConfigError: the twin's settings do not take these values; nothing is written then.
    """
    changed = load_twin(source, changes)
    values = changed.model_dump(mode="json")
    head = "".join(f"# {line}\n" for line in notes)
    head += "".join(f"#   {key}: {value:g}\n" for key, value in changes.items())
    text = head + yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=100)
    write_text(path, text)
    return load_twin(path)


def command_delay_s(twin: Any) -> float:
    """The delay of commands [s] that a twin's settings say; of a distribution its middle."""
    amount = getattr(getattr(twin, "delay", None), "command_s", None)
    return 0.0 if amount is None else float(amount.at(0.5))
