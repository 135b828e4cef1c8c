"""The notebooks run, cell after cell, and show what is stored in them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

FOLDER = ROOT / 'docs/notebooks'


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text())['cells'] if cell['cell_type'] == 'code']


@pytest.mark.slow
@pytest.mark.parametrize('name', ['first_walk', 'python_api'])
def test_notebook(name: str, tmp_path: Path) -> None:
    stored = code_cells(FOLDER / f'{name}.ipynb')
    lines = '\n'.join(''.join(cell['source']) for cell in stored).split('\n')
    assert sum(bool(line.strip()) for line in lines) <= 25
    environ = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = ['-W', 'ignore', FOLDER / 'run.py', FOLDER / f'{name}.ipynb', 'run.ipynb']
    result = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found = code_cells(tmp_path / 'run.ipynb')
    kinds = [[set(out['data']) for out in cell['outputs']] for cell in found]
    assert kinds == [[set(out['data']) for out in cell['outputs']] for cell in stored]
    assert sum({'image/jpeg', 'text/plain'} in cell for cell in kinds) == 2
