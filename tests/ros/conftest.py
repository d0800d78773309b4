"""What the ROS tests share: the module ``graph`` and its fixture ``ros``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from graph import ros

__all__ = ["ros"]
