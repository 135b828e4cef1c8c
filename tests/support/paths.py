"""Where the repository is."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
TOOLS = ROOT / 'tools'
SUPPORT = os.pathsep.join([str(ROOT), str(ROOT / 'tests' / 'support')])
"""``PYTHONPATH`` of a process that imports the helpers of tests."""
