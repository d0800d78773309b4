"""What the ROS tests share: the module ``graph`` and its fixture ``ros``, and a second try.

They are processes in real time, with watchdogs of a tenth of a second that must not be loosened to
be tested. A virtual machine now and then stops for that long, and then a guard rightly holds. So
each may fail once, and the summary says which did; what is broken fails twice. A test whose one
failure would be a failure carries ``flaky(reruns=0)``.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from graph import ros

__all__ = ["ros"]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))
