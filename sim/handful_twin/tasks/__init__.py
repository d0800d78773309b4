"""The tasks, by name.

A new one is a small file beside these, a YAML in ``config/task`` and a line here; one of your own
needs no change in this package (``docs/tasks.md``).
"""

from typing import Any

from handful.config import ConfigError, load
from handful_twin.tasks.base import Start, Task, TaskSettings, Truth, Want
from handful_twin.tasks.drawer import Drawer
from handful_twin.tasks.lift import Lift
from handful_twin.tasks.peg import Peg
from handful_twin.tasks.place import Place
from handful_twin.tasks.pull import Pull
from handful_twin.tasks.push import Push
from handful_twin.tasks.reach import Reach
from handful_twin.tasks.stack import Stack
from handful_twin.tasks.switch import Switch

_SHIPPED = (Reach, Lift, Push, Pull, Place, Stack, Switch, Drawer, Peg)
TASKS: dict[str, type[Task]] = {kind.name: kind for kind in _SHIPPED}


def make_task(name: str, overrides: dict[str, Any] | None = None) -> Task:
    """The task of a name with its shipped settings ``config/task/<name>.yaml`` and overrides.

    Raises ``ConfigError`` for an unknown name, key or value.
    """
    kind = TASKS.get(name)
    if kind is None:
        raise ConfigError(f"no task {name!r}; there are: {', '.join(sorted(TASKS))}")
    return kind(load(kind.settings_class, kind.source(), overrides))


__all__ = ["TASKS", "Start", "Task", "TaskSettings", "Truth", "Want", "make_task"]
