"""The notebook of the first walk runs, cell after cell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT


@pytest.mark.slow
def test_first_walk(tmp_path: Path) -> None:
    cells = json.loads((ROOT / 'docs/notebooks/first_walk.ipynb').read_text())['cells']
    code = [''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code']
    assert sum(bool(line.strip()) for text in code for line in text.split('\n')) <= 25
    program = '\n'.join([*code, 'assert features.shape == (1, 192)', "print('done')"])
    environ = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', program],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-1] == 'done'
    assert (tmp_path / 'run/report/index.html').is_file()
