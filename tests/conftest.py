"""Make ``fakes`` and ``contracts`` importable from every test room."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
