"""The tasks, by name.

A new one is a small file beside these, a YAML in ``config/task`` and a line here.
"""

from typing import Any

from handful.config import ConfigError, load
from handful_twin.tasks.base import Start, Task, TaskSettings, Truth, Want
from handful_twin.tasks.lift import Lift
from handful_twin.tasks.reach import Reach

TASKS: dict[str, type[Task]] = {kind.name: kind for kind in (Reach, Lift)}


def make_task(name: str, overrides: dict[str, Any] | None = None) -> Task:
    """The task of a name with its shipped settings ``config/task/<name>.yaml`` and overrides.

    Raises ``ConfigError`` for an unknown name, key or value.
    """
    kind = TASKS.get(name)
    if kind is None:
        raise ConfigError(f"no task {name!r}; there are: {', '.join(sorted(TASKS))}")
    return kind(load(kind.settings_class, kind.source(), overrides))


__all__ = ["TASKS", "Start", "Task", "TaskSettings", "Truth", "Want", "make_task"]
