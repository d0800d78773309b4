"""The learner's parameter ~sessions: what it understands, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rospy")

from handful.config import ConfigError
from handful.wire.learner import _named
from handful.workflow.data.sessions import DataError
from handful.workflow.sources import Given


@pytest.mark.parametrize(
    "given", [["/data/monday", "play=/data/wander"], "/data/monday, play=/data/wander"]
)
def test_a_list_or_a_text_with_commas(given: Any) -> None:
    assert _named(given) == [Given(Path("/data/monday")), Given(Path("/data/wander"), "play")]
    assert _named([]) == _named("") == []


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (["data/monday"], ConfigError, "~sessions: data/monday: give the path from the root"),
        (["game=/data/x"], DataError, "~sessions game=/data/x: 'game' is no role"),
        ({"play": "/data"}, ConfigError, "~sessions: expected a list of"),
        ([3], ConfigError, "~sessions: expected a list of"),
    ],
)
def test_what_it_refuses(given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        _named(given)
