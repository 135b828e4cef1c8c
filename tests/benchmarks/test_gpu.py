"""The benchmark of a GPU host, as far as it can be tried without one."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from paths import ROOT

from benchmarks import gpu
from symmim_mm.cli import COMMANDS


def options(**changes) -> Namespace:
    return Namespace(**dict(data='pictures', repeats=2, batch=None) | changes)


def parse(command: list[str]) -> Namespace:
    """Parse the command line of a part as ``tools/benchmark.py`` does."""
    assert command[1] == str(ROOT / 'tools/benchmark.py')
    return COMMANDS['benchmark'].build_parser('benchmark').parse_args(command[2:])


@pytest.mark.parametrize('part', gpu.PARTS)
def test_parts_are_commands(part: str) -> None:
    found = parse(gpu.part_command(part, options(batch=64), Path('part.json')))
    assert found.json == 'part.json' and found.repeats == 2
    if part == 'loader':
        assert found.benchmark == 'loader' and found.data == 'pictures'
        return
    kind, size = part.split()
    assert found.benchmark == 'step' and found.sizes == [size] and found.batch == 64
    assert found.amp and found.peak and found.compile == (kind == 'compiled')


def test_parts_that_fail_or_take_too_long_are_told() -> None:
    sleep = ['python', 'tool', '--json', 'x']
    assert gpu._run(sleep, 0) == 'no time was left'
    assert gpu._run(['bash', '-c', 'exit 3', 'x', 'y'], 20) == 'ended with code 3'
    assert gpu._run(['bash', '-c', 'sleep 60', 'x', 'y'], 0.5).startswith('stopped after')
    assert gpu._run(['bash', '-c', 'true', 'x', 'y'], 20) is None


def test_tables_bear_the_name_of_their_part() -> None:
    step = dict(benchmark='step', sizes={}, matrix_rate=None)
    assert gpu.tables(dict(parts={'eager l': step})) == {}


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu_it_says_so(tool, tmp_path) -> None:
    done = tool('benchmark.py', 'gpu', '--json', tmp_path / 'gpu.json')
    assert done.returncode == 2
    assert done.stderr.strip() == 'error: gpu: torch sees no CUDA device here'
    assert not list(tmp_path.iterdir())
