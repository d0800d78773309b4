"""The real librealsense, in processes of its own.

librealsense 2.59 sometimes dies, and sometimes waits for ever with Python's lock in its hand, when
the garbage collector lets one of its objects go while a thread of its own is still ending. In the
process of the other tests that would happen minutes later, in a test of something else, where no
timeout can interrupt it.
"""

from pathlib import Path

import pytest
from own_process import run_checks

pytest.importorskip("pyrealsense2", reason="NO SDK OF REALSENSE; to test it: make test on x86_64")

CHECKS = Path(__file__).parent / "sdk"


@pytest.mark.timeout(400)
@pytest.mark.flaky(reruns=1)  # pictures at 30 Hz in real time, as in tests/ros
@pytest.mark.parametrize("name", ["realsense", "frames", "recording"])
def test_cameras_of_the_real_sdk(name: str) -> None:
    run_checks(CHECKS / f"{name}_checks.py", timeout_s=120.0, tries=3)
