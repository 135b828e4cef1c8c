"""One job of a suite, started by Snakemake: ``python -m symmim_mm.suite.job PLAN NAME``.

It makes the run in the run's directory, with all output in ``log.txt`` there, and leaves its
state in ``<launch>/state/<name>.json`` for the progress display. A job ends with its suite, even
if that was killed: nothing goes on unseen.
"""

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from symmim_mm.results.record import FILE_NAME, Record
from symmim_mm.suite.finished import MARKER, Wanted, backbone_of, is_finished, read_json, wanted
from symmim_mm.suite.graph import DATA, STATE, Run, command
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256, write_atomic

_PR_SET_PDEATHSIG = 1
_groups: set[int] = set()


def main(plan_file: str, name: str) -> int:
    """Make one run; returns the exit code."""
    plan = json.loads(Path(plan_file).read_text(encoding='utf-8'))
    launch = Path(plan_file).parent
    state = launch / 'state' / f'{name}.json'
    job = plan['jobs'][name]
    begun = time.time()
    if plan['watch']:
        watched = Path(plan['lock']), plan['owner']
        if not _held(*watched):
            return 1
        threading.Thread(target=_die_with_suite, args=watched, daemon=True).start()
    report: dict[str, Any] = {'state': 'running', 'started': begun, 'log': job['log']}
    write_atomic(state, json.dumps(report))
    try:
        if name == DATA:
            _make_data(plan, Path(job['log']))
        else:
            _make_run(plan, Run(**job['run']))
    except UserError as error:
        report |= {'state': 'failed', 'error': str(error), 'seconds': time.time() - begun}
        write_atomic(state, json.dumps(report))
        return 1
    report |= {'state': 'finished', 'seconds': time.time() - begun}
    write_atomic(state, json.dumps(report))
    return 0


def _make_run(plan: dict[str, Any], run: Run) -> None:
    folder = Path(run.folder)
    with _alone(Path(plan['work_dir']) / STATE / 'runs' / f'{run.name}.lock'):
        want = wanted(run, plan['data_sha256'] or _data_hash(plan))
        if is_finished(run, want):
            return
        resume = _prepare(folder, run.name, want, Path(plan['work_dir']))
        backbone = backbone_of(run)
        words = command(run, Path(plan['root']), str(backbone[0]) if backbone else None, resume)
        _execute(words, plan, folder / 'log.txt')
        _check(run, want)


def _data_hash(plan: dict[str, Any]) -> str | None:
    return file_sha256(plan['manifest']) if plan['manifest'] else None


def _check(run: Run, want: Wanted) -> None:
    path = Path(run.folder) / FILE_NAME
    if not path.is_file():
        raise UserError(f'{run.tool} ended without an error but left no {FILE_NAME}')
    difference = want.difference(Record.read(path))
    if difference:
        raise UserError(f'the record is not of the run that was wanted: {difference}')
    if not is_finished(run, want):
        raise UserError('the record does not fit the checkpoint beside it')


def _prepare(folder: Path, name: str, want: Wanted, work_dir: Path) -> bool:
    """Make the run's directory ready; ``True`` if what lies there is to be resumed.

    An attempt at the same run is resumed. Anything else is moved aside, so that neither an old
    checkpoint nor an old record can pass for the new run's.
    """
    marker = folder / MARKER
    if folder.is_dir() and any(folder.iterdir()):
        # With a record it is not an interrupted run but a finished one that does not fit.
        if read_json(marker) == asdict(want) and not (folder / FILE_NAME).exists():
            return True
        stamp = time.strftime('%Y%m%dT%H%M%S') + f'-{os.getpid()}'
        aside = work_dir / STATE / 'replaced' / f'{name}-{stamp}'
        aside.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(aside)
    write_atomic(marker, json.dumps(asdict(want)))
    return False


def _make_data(plan: dict[str, Any], log: Path) -> None:
    _execute([sys.executable, *plan['generator']], plan, log)
    manifest = Path(plan['manifest'])
    if not manifest.is_file():
        raise UserError(f'{plan["generator"][0]} ended without an error but left no {manifest}')
    made = {'generator': plan['generator'], 'manifest_sha256': file_sha256(manifest)}
    write_atomic(Path(plan['work_dir']) / STATE / 'data.json', json.dumps(made))


def _execute(words: list[str], plan: dict[str, Any], log: Path) -> None:
    """Run a command with its output appended to ``log``; ``UserError`` if it fails."""
    environment = dict(os.environ, PYTHONUNBUFFERED='1')
    if plan['threads']:
        environment.update(
            dict.fromkeys(('OMP_NUM_THREADS', 'MKL_NUM_THREADS'), str(plan['threads']))
        )
    with open(log, 'ab') as out:
        out.write(('$ ' + ' '.join(words) + '\n').encode())
        out.flush()
        begin = out.tell()
        child = subprocess.Popen(
            words,
            cwd=plan['root'],
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        _groups.add(child.pid)
        try:
            code = child.wait()
        finally:
            _end_groups()
    if code:
        with open(log, 'rb') as file:
            file.seek(begin)
            line = last_error(file)
        how = f'signal {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'
        raise UserError(line or f'no output, {how}')


def last_error(file: BinaryIO) -> str:
    """The last line of a log that names an error, else its last line that is not empty."""
    lines = file.read()[-65536:].decode('utf-8', 'replace').splitlines()
    lines = [line.strip() for line in lines if line.strip()]
    for line in reversed(lines):
        word = line.split(':', 1)[0]
        if ':' in line and ' ' not in word and word.lower().endswith(('error', 'exception')):
            return line
    return lines[-1] if lines else ''


def end_with_parent() -> None:
    """Called in a child before its program starts: it is killed when its parent ends."""
    # Only Linux can do this. Elsewhere a suite or job that is killed by force may leave the
    # programs that it started behind.
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_groups() -> None:
    """Kill what is left of the command and the processes that it started."""
    while _groups:
        with suppress(ProcessLookupError, KeyError):
            os.killpg(_groups.pop(), signal.SIGKILL)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a run's lock: a job left over from a killed suite needs a moment to end."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, 'a', encoding='utf-8') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _die_with_suite(lock: Path, owner: str) -> None:
    """End this job as soon as its suite is gone."""
    while _held(lock, owner):
        time.sleep(0.5)
    _end_groups()
    os._exit(1)


def _held(lock: Path, owner: str) -> bool:
    """Whether the suite that wrote ``owner`` into its lock file still holds the lock."""
    with open(lock, encoding='utf-8') as file:
        if file.read() != owner:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
