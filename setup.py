"""The packages as catkin wants them said; everything else about them stands in pyproject.toml."""

import re
from pathlib import Path

from setuptools import setup

manifest = Path(__file__).with_name("package.xml").read_text(encoding="utf-8")

setup(
    version=re.search(r"<version>(.+?)</version>", manifest).group(1),
    packages=[
        "handful",
        "handful.learn",
        "handful.rig",
        "handful.rig.teleop",
        "handful.wire",
        "handful.wire.arms",
        "handful.workflow",
        "handful.workflow.data",
        "handful_twin",
        "handful_twin.tasks",
    ],
    package_dir={"": "src", "handful_twin": "sim/handful_twin"},
)
