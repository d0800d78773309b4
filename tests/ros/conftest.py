"""What the ROS tests share: the module ``graph`` and its fixture ``ros``, and a second try.

They are processes in real time, with watchdogs of a tenth of a second that must not be loosened to
be tested. A virtual machine now and then stops for that long, and then a guard rightly holds. So
each may fail once, and the summary says which did; what is broken fails twice. The second try has
a graph and an arm of its own: what the first one left behind decides nothing. A test whose one
failure would be a failure carries ``flaky(reruns=0)``.
"""

import sys
from pathlib import Path

import pytest
import pytest_rerunfailures

sys.path.insert(0, str(Path(__file__).parent))

from graph import ros

__all__ = ["ros"]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """End the fixtures of module and class (roscore, an arm and its controller) before a rerun."""
    if HERE in item.path.parents and getattr(item, "execution_count", 1) > 1:
        # The plugin keeps them for the rerun, and neither it nor pytest has a public way to say no.
        pytest_rerunfailures._restore_suspended_finalizers(item)
        item.session._setupstate.teardown_exact(item.session)
