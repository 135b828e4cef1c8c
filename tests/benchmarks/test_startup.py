"""The benchmark of opening a folder, small."""

import json
from pathlib import Path

import pytest

from benchmarks.startup import make_tree


def test_tree(tmp_path: Path) -> None:
    make_tree(tmp_path / 'tree', 23, 4)
    files = [path for path in (tmp_path / 'tree').rglob('*') if path.is_file()]
    assert len(files) == 23 and len(list((tmp_path / 'tree').iterdir())) == 4


@pytest.mark.slow
def test_command(tool, tmp_path: Path) -> None:
    result = tmp_path / 'startup.json'
    done = tool(
        'benchmark.py', 'startup', '--images', '60', '--folders', '5', '--repeats', '2',
        '--tmp', tmp_path, '--json', result, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text())
    assert list(found['cases']) == [
        'CustomDataset', 'ImageFolder, first time', 'ImageFolder, again'
    ]  # fmt: skip
    assert found['cases']['CustomDataset']['times_faster']['median'] == 1
    assert [path.name for path in tmp_path.iterdir()] == ['startup.json']
    wrong = tool('benchmark.py', 'startup', '--images', '2', '--folders', '5', '--json', result)
    assert wrong.returncode == 2 and '--folders must be' in wrong.stderr
