"""Many images in several processes: crashes, kills, interruptions, and what is kept of them."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from image_samples import encode, make_image, samples
from paths import ROOT
from processes import WAIT_S, wait_until

from symmim_mm.datacheck.image import Options
from symmim_mm.datacheck.journal import TABLE, Journal
from symmim_mm.datacheck.layout import Job, Outcome
from symmim_mm.datacheck.workers import CHUNK, check_jobs
from symmim_mm.utils.errors import UserError

JPEG = encode(make_image())


def put_many(folder: Path, number: int, data: bytes = JPEG) -> list[Job]:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        (folder / f'{index:04}.jpg').write_bytes(data)
    return [Job(f'{index:04}.jpg') for index in range(number)]


def start(*arguments: str | Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(ROOT / 'tools/check_dataset.py'), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def busy(process: subprocess.Popen) -> list[psutil.Process]:
    """The workers of a check that have begun; a check that has ended has none any more."""
    assert process.poll() is None, 'the check has ended already'
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            forked = child.ppid() != process.pid and 'forkserver' in ' '.join(child.cmdline())
            if forked and child.cpu_times().user >= 0.02:  # the clock's resolution is 0.01 s
                found.append(child)
    return found


def test_every_image_once(tmp_path: Path) -> None:
    jobs = put_many(tmp_path, 3 * CHUNK + 5)
    (tmp_path / '0007.jpg').write_bytes(b'')
    seen = dict(check_jobs(iter(jobs), Options(str(tmp_path)), 2))
    assert sorted(seen) == jobs
    assert seen.pop(jobs[7]) == Outcome([('empty', '0007.jpg', '')])
    assert set(map(str, seen.values())) == {str(Outcome([]))}


def test_warnings_and_sizes_come_back(tmp_path: Path) -> None:
    """What libjpeg prints is read after each image, and nothing of it is left for the next."""
    names = ('hole in a JPEG', 'jpeg', 'hole in a JPEG', 'web page')
    jobs = [Job(f'{index}.jpg', size=(64, 48)) for index in range(4)]
    for job, name in zip(jobs, names, strict=True):
        (tmp_path / job.path).write_bytes(samples()[name][1])
    jobs[2] = jobs[2]._replace(size=(48, 64))
    warning = 'Corrupt JPEG data: premature end of data segment'
    assert [found.findings for _, found in check_jobs(jobs, Options(str(tmp_path)), 1)] == [
        [('decoder-warning', '0.jpg', warning)],
        [],
        [
            ('decoder-warning', '2.jpg', warning),
            ('size-differs', '2.jpg', 'image 64 x 48, annotations say 48 x 64'),
        ],
        [('not-an-image', '3.jpg', '')],
    ]


def test_image_that_kills_its_process(tmp_path: Path) -> None:
    """It is named, and every other image is checked all the same."""
    jobs = put_many(tmp_path / 'many', 6 * CHUNK)
    for index in (3, 100):
        path = tmp_path / 'many' / jobs[index].path
        path.unlink()
        os.mkfifo(path)  # reading it would wait for ever: the system kills the process
    seen = dict(check_jobs(jobs, Options(str(tmp_path / 'many')), 2, limit_s=2))
    assert sorted(seen) == jobs
    assert {job.path: outcome.findings for job, outcome in seen.items() if outcome.findings} == {
        '0003.jpg': [('crash', '0003.jpg', '')], '0100.jpg': [('crash', '0100.jpg', '')],
    }  # fmt: skip


@pytest.mark.slow
def test_killed_worker_loses_nothing(tmp_path: Path) -> None:
    """``kill -9`` of a worker, as by a system out of memory: its images are checked again."""
    number = 4000
    put_many(tmp_path / 'many', number, encode(make_image(1200, 900)))
    process = start('folder', tmp_path / 'many', '--workers', 2, '--json', tmp_path / 'x.json')
    killed = []
    assert wait_until(lambda: killed.extend(busy(process)[:1]) or killed)
    killed[0].kill()
    out, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0 and errors == '' and 'no problems' in out
    assert json.loads((tmp_path / 'x.json').read_text())['counts']['checked']['images'] == number


@pytest.mark.slow
def test_interrupted_check_goes_on(tmp_path: Path) -> None:
    """Ctrl-C: one line, exit code 130, no process left; the next check does only the rest."""
    number = 3000
    put_many(tmp_path / 'many', number, encode(make_image(1200, 900)))
    (tmp_path / 'many/0000.jpg').write_bytes(b'')
    state, report = tmp_path / 'state', tmp_path / 'x.json'
    arguments = ('folder', tmp_path / 'many', '--workers', 2, '--state', state, '--json', report)
    process = start(*arguments)
    assert wait_until(lambda: kept(state) > 50)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all of them
    out, errors = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out, errors) == (130, '', 'interrupted\n')
    assert wait_until(lambda: not any(child.is_running() for child in children))
    assert not report.exists()
    done = kept(state)
    assert 50 < done < number
    again, _ = start(*arguments).communicate(timeout=WAIT_S)
    assert f'{done:,} of them known from {state}' in again and '0000.jpg' in again
    assert json.loads(report.read_text())['counts']['checked']['known'] == done


def kept(state: Path) -> int:
    """How many images a state file holds, 0 where it is not there yet."""
    if not state.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f'file:{state}?mode=ro', uri=True)) as base:
        try:
            return base.execute(f'SELECT count(*) FROM {TABLE}').fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def test_state_notices_changes(run_check, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """Only what is new, changed, or asked for otherwise is checked again."""
    root, state = tmp_path / 'many', tmp_path / 'state'
    put_many(root, 10)
    (root / '0003.jpg').write_bytes(b'')

    def check(*options: object) -> str:
        with pytest.raises(UserError, match=f'^{root}: 1 problem$'):
            run_check('folder', root, '--state', state, '--workers', 1, *options)
        return capfd.readouterr().out

    first, second = check(), check()
    assert 'known from' not in first and '    0003.jpg' in first
    assert f'10 of them known from {state}' in second and '    0003.jpg' in second
    (root / '0003.jpg').write_bytes(JPEG)
    (root / '0004.jpg').write_bytes(JPEG[:-2])
    third = check()
    assert '8 of them known' in third and '    0003.jpg' not in third and '    0004.jpg' in third
    assert 'known from' not in check('--max-pixels', 10**6)


@pytest.mark.parametrize('content', [b'no database at all' * 50, None])
def test_state_file_that_is_none(content: bytes | None, tmp_path: Path) -> None:
    state = tmp_path / 'state'
    if content:
        state.write_bytes(content)
    else:
        with contextlib.closing(sqlite3.connect(state)) as base:
            base.execute('CREATE TABLE cookies (name)')
    before = state.read_bytes()
    with pytest.raises(UserError, match=f'^--state {state} cannot be used'):
        Journal(state, Options(str(tmp_path)))
    assert state.read_bytes() == before


def test_journal(tmp_path: Path) -> None:
    """Outcomes come back as they were; what could not be read is not kept."""
    jobs = put_many(tmp_path / 'many', 4)
    options = Options(str(tmp_path / 'many'))
    outcomes = [
        Outcome([]), Outcome([('rotated', 'ä\udce9.jpg', 'x'), ('tiny', 'b', '')]),
        Outcome([], 8), Outcome([('unreadable', '0003.jpg', 'I/O error')]),
    ]  # fmt: skip
    journal = Journal(tmp_path / 'state', options)
    assert [journal.find(job) for job in jobs] == [None] * 4
    for job, outcome in zip(jobs, outcomes, strict=True):
        journal.note(job, outcome)
    journal.close()
    journal = Journal(tmp_path / 'state', options)
    assert [journal.find(job) for job in jobs] == [*outcomes[:3], None]
    assert journal.find(jobs[0]._replace(size=(1, 1))) is None
    assert journal.find(Job('missing.jpg')) is None
    journal.close()
    quick = Journal(tmp_path / 'state', options._replace(decode=False))
    assert quick.find(jobs[0]) is None
    quick.close()
    with pytest.raises(UserError, match='cannot be used'):
        Journal(tmp_path / 'many', options)


def test_a_full_disk_at_the_end_of_a_journal(tmp_path: Path) -> None:
    class Full:
        closed = False

        def commit(self) -> None:
            raise sqlite3.OperationalError('database or disk is full')

        def close(self) -> None:
            self.closed = True

    journal = Journal(tmp_path / 'state', Options(str(tmp_path)))
    journal.base.close()
    journal.base = Full()
    with pytest.raises(UserError, match='state cannot be used .* full.: make room, or name a new'):
        journal.close()
    assert journal.base.closed


def test_journal_that_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between the statement that notes an outcome and the end of its transaction."""
    (job,) = put_many(tmp_path / 'many', 1)
    options = Options(str(tmp_path / 'many'))
    journal = Journal(tmp_path / 'state', options)
    assert journal.find(job) is None

    def interrupt() -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr('symmim_mm.datacheck.journal.time.monotonic', interrupt)
        journal.note(job, Outcome([]))
    journal.close()
    assert Journal(tmp_path / 'state', options).find(job) == Outcome([])
