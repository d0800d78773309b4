"""Tasks that are not of this package: added by a call, or by the entry points ``handful.tasks``.

An added task is everywhere the shipped ones are: in ``make_env``, in ``gymnasium.make`` as
``handful/<Name>-v0``, and behind every ``--task``. ``docs/tasks.md`` has one from start to end.
"""

import sys
import warnings
from importlib.metadata import entry_points

from handful.config import ConfigError
from handful_twin.env import register
from handful_twin.tasks import TASKS, Task

GROUP = "handful.tasks"


def add_task(kind: type[Task]) -> type[Task]:
    """Make a task known by its name; adding the same class twice is safe. Usable as a decorator.

    Raises:
        ConfigError: it is no task, has no name, or the name is taken by another one.
    """
    name = getattr(kind, "name", None)
    if not (isinstance(kind, type) and issubclass(kind, Task) and isinstance(name, str) and name):
        raise ConfigError(f"{kind!r} is no task: expected a subclass of Task with a name")
    if TASKS.setdefault(name, kind) is not kind:
        theirs = TASKS[name]
        raise ConfigError(
            f"task {name!r} is already {theirs.__module__}.{theirs.__name__}; choose another name"
        )
    register()
    return kind


def load_plugins() -> None:
    """Add every task that an installed package offers; one that cannot be loaded is said aloud."""
    for entry in entry_points(group=GROUP):
        spec = getattr(sys.modules.get(entry.module), "__spec__", None)
        if getattr(spec, "_initializing", False):
            continue  # it is what imports us just now, and adds its task itself
        try:
            add_task(entry.load())
        except Exception as error:  # a stranger's mistake must not take the other tasks away
            why = f"{type(error).__name__}: {error}"
            warnings.warn(f"task {entry.name!r} of {entry.value} is left out: {why}", stacklevel=2)
