"""The suite's engine: real processes, and a stand-in for the commands."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from paths import SUPPORT
from processes import WAIT_S, wait_until

from symmim_mm.results.record import Record
from symmim_mm.suite import launch
from symmim_mm.suite.file import load_suite
from symmim_mm.suite.run_suite import run_suite
from symmim_mm.suite.step_logs import last_lines
from symmim_mm.utils.errors import UserError

STANDIN = Path(__file__).with_name('standin')
PROGRAM = (sys.executable, 'tools/symmim.py')
LAUNCH = f"""
import sys
from symmim_mm.suite.run_suite import run_suite
sys.exit(run_suite('suite.yaml', jobs=2, program={PROGRAM}))
"""


def write_config(root: Path, name: str, **standin: object) -> None:
    run = {'method': name, 'task': 'pretrain'} if name in ('symmim', 'mae') else {'task': name}
    (root / f'configs/{name}.py').write_text(f'run = {run}\nstandin = {standin}\n')


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', SUPPORT)  # for the stand-in
    (tmp_path / 'configs').mkdir()
    for name in ('symmim', 'mae', 'finetune', 'knn'):
        write_config(tmp_path, name, sleep=0)
    shutil.copytree(STANDIN, tmp_path / 'tools')
    (tmp_path / 'suite.yaml').write_text(
        'name: small\n'
        'data: {generator: [tools/make_data.py, data, first]}\n'
        'methods: {symmim: configs/symmim.py, mae: configs/mae.py, random: null}\n'
        'transfers: {finetune: configs/finetune.py, knn: configs/knn.py}\n'
    )
    return tmp_path


def make(root: Path, **options: object) -> int:
    return run_suite(root / 'suite.yaml', root=root, program=PROGRAM, **options)


def runs(root: Path) -> Path:
    return root / 'work_dirs/small'


def calls(root: Path) -> dict[str, list[str]]:
    """What each run's tool was given, by run: one entry for every time it was started."""
    return {path.parent.name: path.read_text().split() for path in runs(root).glob('*/calls.txt')}


def record_times(root: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in runs(root).glob('*/result.json')}


def start(root: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-c', LAUNCH], cwd=root,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def alive(word: str) -> list[str]:
    """Command lines of the processes that name ``word``."""
    lines = (' '.join(one.info['cmdline'] or ()) for one in psutil.process_iter(['cmdline']))
    return [line for line in lines if word in line]


@pytest.mark.slow
def test_runs_all_then_nothing_then_what_changed(project, capsys):
    assert make(project, dry_run=True) == 0
    out = capsys.readouterr().out
    assert '[1/9] data: ' in out and '9 to run, 0 finished' in out
    assert not runs(project).exists()

    assert make(project, jobs=2) == 0
    out = capsys.readouterr().out
    assert '[9/9] ' in out and 'report: ' in out
    assert (runs(project) / 'report/index.html').is_file()
    for path in runs(project).glob('*/result.json'):
        record = Record.read(path)
        assert record.method == record.run.split('-')[0]
    assert all(given == ['resume=False'] for given in calls(project).values())
    assert len(calls(project)) == 8

    for path in project.rglob('*'):
        path.touch()
    assert make(project, jobs=2) == 0
    assert 'all 8 runs are finished' in capsys.readouterr().out
    assert len(sum(calls(project).values(), [])) == 8
    assert make(project, dry_run=True) == 0
    assert '0 to run, 8 finished' in capsys.readouterr().out

    before = record_times(project)
    write_config(project, 'mae', sleep=0.01)
    assert make(project, jobs=2) == 0
    after = record_times(project)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {'mae-pretrain-seed0', 'mae-finetune-seed0', 'mae-knn-seed0'}
    # What they replace is kept aside, and none of it was resumed.
    out = capsys.readouterr().out
    assert all(str(path) in out for path in (runs(project) / '.suite/replaced').iterdir())
    assert out.count('an earlier run that does not fit') == 3
    assert all(given == ['resume=False'] for given in calls(project).values())


@pytest.mark.slow
def test_a_failure_stops_only_what_depends_on_it(project, capsys):
    write_config(project, 'mae', fail=3)
    assert make(project, jobs=2) == 1
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert (
        'failed: mae-pretrain-seed0: ValueError: the stand-in was set to fail '
        '(log: work_dirs/small/mae-pretrain-seed0/log.txt)'
    ) in lines
    assert 'not run: mae-knn-seed0: mae-pretrain-seed0 failed' in lines
    assert len(lines) == 3
    done = {path.parent.name for path in runs(project).glob('*/result.json')}
    assert done == {
        f'{run}-seed0'
        for run in ('symmim-pretrain', 'symmim-finetune', 'symmim-knn', 'random-finetune',
                    'random-knn')
    }  # fmt: skip

    write_config(project, 'mae', sleep=0)
    assert make(project, jobs=2) == 0
    assert len(sum(calls(project).values(), [])) == 8


@pytest.mark.slow
@pytest.mark.parametrize('whom', ['group', 'suite'])
def test_continues_after_kill_9(project, whom):
    write_config(project, 'mae', sleep=120)
    write_config(project, 'finetune', sleep=0)
    first = start(project)
    assert wait_until((runs(project) / 'mae-pretrain-seed0/calls.txt').exists)
    assert wait_until((runs(project) / 'symmim-pretrain-seed0/result.json').exists)
    (os.killpg if whom == 'group' else os.kill)(first.pid, signal.SIGKILL)
    first.communicate()
    kept = (runs(project) / 'symmim-pretrain-seed0/result.json').stat().st_mtime_ns
    # Nothing of the killed suite keeps running: neither its jobs nor what they started.
    left = [str(runs(project)), 'work_dirs/small/mae-pretrain-seed0']
    assert wait_until(lambda: not any(map(alive, left))), list(map(alive, left))

    # The same again: what was begun is resumed, what was finished stays.
    second = start(project)
    starts = runs(project) / 'mae-pretrain-seed0/calls.txt'
    assert wait_until(lambda: len(starts.read_text().split()) == 2)
    os.killpg(second.pid, signal.SIGKILL)
    second.communicate()
    assert calls(project)['mae-pretrain-seed0'] == ['resume=False', 'resume=True']
    assert (runs(project) / 'symmim-pretrain-seed0/result.json').stat().st_mtime_ns == kept

    # With another config the left-over attempt is not resumed.
    write_config(project, 'mae', sleep=0)
    third = start(project)
    out, _ = third.communicate(timeout=WAIT_S)
    assert third.returncode == 0, out
    assert calls(project)['mae-pretrain-seed0'] == ['resume=False']
    assert (runs(project) / 'symmim-pretrain-seed0/result.json').stat().st_mtime_ns == kept


@pytest.mark.slow
def test_the_death_of_the_keeper_ends_the_runs(project):
    for name in ('symmim', 'mae'):
        write_config(project, name, sleep=120)
    suite = start(project)
    begun = [runs(project) / f'{name}-pretrain-seed0/calls.txt' for name in ('symmim', 'mae')]
    assert wait_until(lambda: all(path.exists() for path in begun))
    (keeper,) = psutil.Process(suite.pid).children()
    keeper.kill()
    out, _ = suite.communicate(timeout=WAIT_S)
    assert suite.returncode == 1
    log = runs(project) / '.suite/keeper-log.txt'
    assert out.splitlines()[-1].endswith(f'starts the runs has died; its log: {log}')
    assert wait_until(lambda: not alive('-pretrain-seed0'))


def test_a_missing_program_fails_its_run(project, capsys):
    assert run_suite(project / 'suite.yaml', root=project, program=('no such program',)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any('error: no such program: No such file or directory' in line for line in lines)
    log = (runs(project) / 'random-knn-seed0/log.txt').read_text()
    assert log.startswith("$ 'no such program' train configs/knn.py ")  # to copy into a shell


def test_two_suites_in_one_directory(project, monkeypatch):
    monkeypatch.setattr(launch, 'LOCK_S', 0.1)
    suite = load_suite(project / 'suite.yaml', root=project)
    with launch.locked(suite), pytest.raises(UserError, match='another suite is running') as error:
        make(project)
    assert str(os.getpid()) in str(error.value)


@pytest.mark.slow
def test_ctrl_c_lets_the_runs_save_and_ends_them(project):
    """SIGTERM, as to any training, before anything is killed."""
    (project / 'tools/symmim.py').write_text(
        'import pathlib, signal, sys, time\n'
        "folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])\n"
        'def save(*_):\n'
        "    (folder / 'saved').touch()\n"
        '    sys.exit(75)\n'
        'signal.signal(signal.SIGTERM, save)\n'
        "(folder / 'begun').touch()\n"
        'time.sleep(600)\n'
    )
    suite = start(project)
    begun = [runs(project) / f'{name}-pretrain-seed0/begun' for name in ('symmim', 'mae')]
    assert wait_until(lambda: all(path.exists() for path in begun))
    suite.send_signal(signal.SIGINT)
    suite.communicate(timeout=WAIT_S)
    assert suite.returncode and all(path.with_name('saved').exists() for path in begun)
    assert not alive(str(project))


def test_wrong_options(project, monkeypatch):
    with pytest.raises(UserError, match='--jobs must be 1 or more'):
        make(project, jobs=0)
    monkeypatch.setenv('PATH', str(project))
    with pytest.raises(UserError, match='--slurm: srun not found'):
        make(project, slurm=True)


@pytest.mark.parametrize(
    ('text', 'line'),
    [
        ('one\nerror: no such file\n\n', 'error: no such file'),
        ('Traceback\n  x\nRuntimeError: bad shape\nsrun: done\n', 'RuntimeError: bad shape'),
        ('torch.OutOfMemoryError: no memory\n', 'torch.OutOfMemoryError: no memory'),
        ('all well\n\n', 'all well'),
        ('', ''),
    ],
)
def test_last_error(tmp_path, text, line):
    path = tmp_path / 'log.txt'
    path.write_text('ValueError: of an earlier attempt\n' + text)
    lines = last_lines(path, path.stat().st_size - len(text))
    assert launch.last_error(lines) == line


@pytest.mark.parametrize(
    ('code', 'how'), [(1, 'ended with exit code 1'), (-9, 'was killed by SIGKILL')]
)
def test_an_exit_without_output_is_described(tmp_path, code, how):
    log = tmp_path / 'log.txt'
    log.touch()
    with pytest.raises(UserError, match=f'it {how}, without output'):
        launch._finish(SimpleNamespace(log=log), 0, code)
