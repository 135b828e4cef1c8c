"""The benchmark of a GPU host, rehearsed without one."""

import json
import subprocess
import time
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from paths import ROOT
from processes import wait_until

from benchmarks import checks, command, gpu, study
from benchmarks.step_tables import METHODS
from symmim_mm.cli import COMMANDS
from symmim_mm.config.load import load_config
from symmim_mm.planning.costs import flops_per_image
from symmim_mm.utils.errors import Fault, UserError


def options(**changes) -> Namespace:
    given = dict(data='images', cifar10='cifar10', repeats=2, batch=None, rehearse=False)
    return Namespace(**given | changes)


def parse(command: list[str]) -> Namespace:
    """Parse the command line of a part as ``tools/benchmark.py`` does."""
    assert command[1] == str(ROOT / 'tools/benchmark.py')
    return COMMANDS['benchmark'].build_parser('benchmark').parse_args(command[2:])


@pytest.mark.parametrize('part', gpu.PARTS)
def test_parts_are_commands(part: str) -> None:
    parse(gpu.part_command(part, options(rehearse=True), Path('part.json'), 100.0))
    found = parse(gpu.part_command(part, options(batch=64), Path('part.json'), 100.0))
    kind, _, size = part.partition(' ')
    assert found.json == 'part.json'
    if kind == 'steps':
        assert found.benchmark == 'step' and found.sizes == [size] and found.batch == 64
        assert found.amp and found.peak and set(found.methods) == set(METHODS)
    else:
        assert found.benchmark == kind
    if kind in ('study', 'steps', 'checks'):
        assert found.minutes == 1  # it ends by itself before it is stopped
    if kind == 'study':
        assert found.data == 'cifar10'


@pytest.mark.parametrize(
    ('changes', 'problem'),
    [
        (dict(parts=['checks', 'loader']), '--parts loader needs --data FOLDER'),
        (dict(parts=['study'], cifar10='none'), '--cifar10 none: there is no such folder'),
    ],
)
def test_data_are_asked_for_before_anything_runs(changes: dict, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        gpu.run(options(**dict(data=None, cifar10=None) | changes))


def test_parts_that_fail_or_take_too_long_are_reported(tmp_path: Path) -> None:
    sleep = ['python', 'tool', '--json', 'x']
    assert gpu._run(sleep, 0) == 'no time was left'
    child = tmp_path / 'child'
    leaving = f'sleep 60 & echo $! > {child}; exit 3'
    assert gpu._run(['bash', '-c', leaving, 'x', 'y'], 20) == 'ended with code 3'
    stat = Path(f'/proc/{child.read_text().strip()}/stat')
    assert wait_until(lambda: not stat.exists() or ') Z ' in stat.read_text())
    assert gpu._run(['bash', '-c', 'sleep 60', 'x', 'y'], 0.5).startswith('stopped after')
    assert gpu._run(['bash', '-c', 'test "$GIVEN" = 1', 'x', 'y'], 20, GIVEN='1') is None


def test_tables_bear_the_name_of_their_part() -> None:
    step = dict(benchmark='step', sizes={}, matrix_rate=None)
    assert gpu.tables(dict(parts={'steps l': step})) == {}


@pytest.mark.parametrize(
    ('rate', 'minutes', 'epochs'), [(10_000, 5, 20), (10_000, 3, 10), (1_000, 10, 5)]
)
def test_the_study_takes_the_length_that_fits(rate: float, minutes: float, epochs: int) -> None:
    args = Namespace(conditions=['mae', 'checkerboard'], seeds=1, jobs=2)
    assert study.choose_epochs(50_000, rate, 60 * minutes, args) == epochs
    seconds = 2 * epochs * 50_000 / rate
    assert seconds + study.STARTS_S <= 60 * minutes


@pytest.mark.parametrize('name', study.CONDITIONS)
def test_every_condition_of_the_study_runs_at_its_width(name: str, tmp_path: Path) -> None:
    args = Namespace(width=64, batch=8)
    cfg = load_config(study.write_config(tmp_path, name, 1, args, 1), check_data=False)
    assert cfg.model.backbone.arch.embed_dims == 64
    assert flops_per_image(cfg).forward_backward > 0


def test_a_study_that_does_not_fit_is_refused() -> None:
    args = Namespace(conditions=['mae'], seeds=1, jobs=1)
    with pytest.raises(UserError, match='give more --minutes'):
        study.choose_epochs(50_000, 100, 60, args)


def test_outcomes_of_tests(tmp_path: Path) -> None:
    report = tmp_path / 'report.xml'
    report.write_text(
        '<testsuites><testsuite>'
        '<testcase classname="a" name="good" time="1.5"/>'
        '<testcase classname="a" name="bad"><failure message="m">the text</failure></testcase>'
        '<testcase classname="a" name="left"><skipped message="needs 2 GPUs"/></testcase>'
        '</testsuite></testsuites>'
    )
    assert checks.read_report(report) == dict(
        passed={'a::good': 1.5},
        failed={'a::bad': 'the text'},
        skipped={'a::left': 'needs 2 GPUs'},
    )


def test_tests_that_take_too_long_leave_the_outcomes_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'tests/gpu').mkdir(parents=True)
    (tmp_path / 'tests/gpu/test_two.py').write_text(
        'import pathlib, pytest, time\n'
        'pytestmark = pytest.mark.gpu\n'
        'def test_first(): pass\n'
        'def test_second():\n'
        f"    pathlib.Path('{tmp_path}/begun').touch()\n"
        '    time.sleep(600)\n'
    )

    class Popen(subprocess.Popen):
        def wait(self, timeout: float | None = None) -> int:
            if timeout is not None:
                while not (tmp_path / 'begun').exists():
                    time.sleep(0.1)
                raise subprocess.TimeoutExpired('pytest', timeout)
            return super().wait()

    monkeypatch.setattr(subprocess, 'Popen', Popen)
    monkeypatch.setattr(checks, 'ROOT', tmp_path)
    result = checks.run(Namespace(processes=0, select='', rehearse=False, minutes=1.0))
    assert list(result['passed']) == ['tests.gpu.test_two::test_first'] and result['stopped']


@pytest.mark.parametrize(
    ('result', 'problem'),
    [
        (dict(failed={}, unfinished={}), None),
        (dict(failed={'a::bad': 'the text'}), '1 tests failed'),
        (dict(failed={}, stopped=True), 'the time was over'),
        (dict(problems=dict(l='no memory')), 'no memory'),
        (dict(unfinished={'mae': 'no memory'}), '1 runs of the study are not finished'),
    ],
)
def test_a_failure_ends_a_benchmark_with_an_error(
    result: dict, problem: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its result is written."""
    monkeypatch.setattr(checks, 'run', lambda args: result)
    monkeypatch.setattr(checks, 'tables', lambda found: {})
    args = Namespace(benchmark='checks', json=str(tmp_path / 'checks.json'))
    with pytest.raises(Fault, match=problem) if problem else nullcontext():
        command.measure(args)
    assert (tmp_path / 'checks.json').is_file()


def test_a_result_that_cannot_be_written_is_refused_before_the_measurement(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='cannot write'):
        command.measure(Namespace(benchmark='checks', json=str(tmp_path / 'file/x.json')))


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu_it_says_so(tool, tmp_path) -> None:
    done = tool('benchmark.py', 'gpu', '--json', tmp_path / 'gpu.json')
    assert done.returncode == 2
    assert done.stderr.strip() == 'error: gpu: torch sees no CUDA device here'
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_rehearsal(tool, tmp_path: Path) -> None:
    """At toy size on the CPU; ``step`` and ``loader`` have tests of their commands."""
    parts = ['checks', 'transfer b', 'study']
    words = ['--rehearse', '--minutes', '28', '--parts', *parts, '--json', tmp_path / 'gpu.json']
    done = tool('benchmark.py', 'gpu', *words, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / 'gpu.json').read_text())
    assert list(result['parts']) == parts and not result['problems']
    tests = result['parts']['checks']
    assert not tests['failed'] and len(tests['passed']) > 10
    records = result['parts']['study']['records']
    assert {record['task'] for record in records.values()} == {'pretrain', 'knn', 'linear'}
    assert len(records) == 1 + 2 * 2  # a condition; features of it and of random weights
    assert gpu.tables(result).keys() >= {'study: study', 'transfer b: transfer', 'checks: checks'}
