"""The set-up: what it says before any long work, and that the environment is what the pins say.

Faults are made for real on a copy of the project: a search path without a compiler, a full file
system or a hidden library in a mount name space of its own (skipped where that is not allowed).
"""

import fcntl
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from paths import ROOT

BASE_PYTHON = sys._base_executable
STAMP = ROOT / '.venv' / '.setup-done'
SETUP_INPUTS = ['tools/setup_env.sh', 'tools/setup_checks.sh', 'pyproject.toml']
SETUP_INPUTS += [f'requirements/{name}.txt' for name in ('runtime', 'dev', 'constraints')]
needs_compiler = pytest.mark.skipif(not shutil.which('c++'), reason='needs a C++ compiler')
IN_NAMESPACE = ['unshare', '--map-root-user', '--mount', 'bash', '-ec']


@pytest.fixture
def project(tmp_path):
    """A copy of what the set-up reads, with an empty cache and temporary folder of its own."""
    copy = tmp_path / 'project'
    for name in ('Makefile', *SETUP_INPUTS):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    for name in ('cache', 'tmp'):
        (tmp_path / name).mkdir()
    return copy


def environment(project: Path, **changes: str) -> dict[str, str]:
    dropped = ('CXX', 'CUDA', 'CUDA_HOME', 'CUDA_PATH', 'PYTHON', 'PIP_CACHE_DIR', 'MAKEFLAGS')
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    own = {'XDG_CACHE_HOME': str(project.parent / 'cache'), 'TMPDIR': str(project.parent / 'tmp')}
    return {**kept, **own, 'PYTHON': BASE_PYTHON, **changes}


def set_up(project: Path, before: str = '', **changes: str) -> subprocess.CompletedProcess:
    """Run the set-up; with ``before``, after those shell commands in a mount name space."""
    command = ['bash', str(project / 'tools/setup_env.sh')]
    if before:
        allowed = subprocess.run([*IN_NAMESPACE, 'mount -t tmpfs x /mnt'], capture_output=True)
        if allowed.returncode:
            pytest.skip('this machine does not allow mount name spaces')
        command = [*IN_NAMESPACE, f'{before}\nexec "$0" "$@"', *command]
    return subprocess.run(
        command, env=environment(project, **changes), capture_output=True, text=True, timeout=120
    )


def only_error(result: subprocess.CompletedProcess) -> str:
    """The one line on stderr of a failed set-up."""
    assert result.returncode != 0, result.stdout
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith('error: ')
    return lines[0]


def search_path(folder: Path, without: str) -> str:
    """A folder with links to the system's commands except those whose name matches ``without``."""
    folder.mkdir()
    for place in ('/bin', '/usr/bin'):
        for command in Path(place).iterdir():
            link = folder / command.name
            if not re.fullmatch(without, command.name) and not link.is_symlink():
                link.symlink_to(command)
    return str(folder)


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_missing_compiler_is_named_before_anything_is_made(project, tmp_path):
    path = search_path(tmp_path / 'bin', without=r'.*(g\+\+|c\+\+|gcc|clang|cc).*')
    result = set_up(project, PATH=path)
    assert 'g++' in only_error(result)
    assert result.stdout == ''
    assert not (project / '.venv').exists()


def test_make_passes_the_failure_on(project, tmp_path):
    path = search_path(tmp_path / 'bin', without=r'.*(g\+\+|c\+\+|gcc|clang|cc).*')
    command = ['make', '--no-print-directory', '-C', str(project), 'test']
    result = subprocess.run(
        command, env=environment(project, PATH=path), capture_output=True, text=True
    )
    assert result.returncode != 0
    assert result.stderr.startswith('error: no working C++ compiler')


def test_old_python_is_named(project, tmp_path):
    path = search_path(tmp_path / 'bin', without='python.*')
    executable(tmp_path / 'bin/python3', '#!/bin/sh\necho 3.9\n')
    message = only_error(set_up(project, PATH=path, PYTHON=''))
    assert 'Python 3.11 to 3.13 is needed' in message and 'python3 is 3.9' in message


def test_no_python_at_all(project, tmp_path):
    path = search_path(tmp_path / 'bin', without='python.*')
    assert 'Python 3.11 to 3.13 is needed' in only_error(set_up(project, PATH=path, PYTHON=''))


def test_python_without_venv_names_the_package(project, tmp_path):
    # As Debian ships it without python3-venv: everything works except ensurepip.
    python = executable(
        tmp_path / 'python3',
        f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec "{BASE_PYTHON}" "$@"\n',
    )
    assert 'python3-venv' in only_error(set_up(project, PYTHON=str(python)))


@needs_compiler
def test_missing_headers_name_the_package(project):
    headers = sysconfig.get_path('include')
    result = set_up(project, before=f'mount -t tmpfs none "{headers}"')
    assert 'python3-dev' in only_error(result)


@needs_compiler
def test_missing_opencv_libraries_name_the_packages(project):
    found = subprocess.run(['/sbin/ldconfig', '-p'], capture_output=True, text=True).stdout
    place = re.search(r'libGL\.so\.1 .*=> (\S+)', found)
    before = f'mount --bind /dev/null "$(realpath {place[1]})"' if place else ''
    assert 'libgl1 libglib2.0-0' in only_error(set_up(project, before=before))


@needs_compiler
@pytest.mark.parametrize('full', ['project', 'cache', 'tmp'])
def test_full_disk_is_named_before_anything_is_made(project, full):
    place = project.parent / full
    kept = shutil.copytree(place, project.parent / 'kept')
    before = f'mount -t tmpfs -o size=16m none "{place}"; cp -r "{kept}/." "{place}"'
    result = set_up(project, before=before)
    message = only_error(result)
    assert message.startswith('error: not enough disk space on ')
    assert re.search(rf' on {place}: about \d+\.\d GiB needed', message)  # and others, perhaps
    assert result.stdout == ''


def test_unknown_cuda_setting(project):
    assert 'CUDA=yes' in only_error(set_up(project, CUDA='yes'))


@needs_compiler
def test_cuda_without_toolkit(project, tmp_path):
    if Path('/usr/local/cuda').exists():
        pytest.skip('a CUDA toolkit is installed in its usual place')
    path = search_path(tmp_path / 'bin', without='nvcc')
    assert 'no nvcc found' in only_error(set_up(project, CUDA='1', PATH=path))


def test_a_stamp_from_another_folder_is_not_believed(project, tmp_path):
    (project / '.venv/bin').mkdir(parents=True)
    (project / '.venv/bin/python').symlink_to(BASE_PYTHON)
    stamp = STAMP.read_text() if STAMP.exists() else '0 cpu 3.11\n'
    (project / '.venv/.setup-done').write_text(stamp)
    path = search_path(tmp_path / 'bin', without='python.*')
    assert 'is needed' in only_error(set_up(project, PATH=path, PYTHON=''))


@needs_compiler
def test_second_setup_waits_for_the_first(project):
    with open(project / '.venv.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(
            ['bash', str(project / 'tools/setup_env.sh')],
            env=environment(project),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            assert 'another set-up is under way' in second.stdout.readline()
            assert second.poll() is None
        finally:
            os.killpg(second.pid, signal.SIGKILL)
            second.communicate()
    assert not (project / '.venv').exists()


@needs_compiler
@pytest.mark.slow
def test_failed_install_gives_the_reason_and_the_log(project):
    # Port 9 of this machine answers nobody: an index that cannot be reached.
    pip = {'INDEX_URL': 'http://127.0.0.1:9', 'RETRIES': '1', 'CONFIG_FILE': os.devnull}
    pip |= {'FIND_LINKS': '', 'EXTRA_INDEX_URL': '', 'PROXY': ''}
    changes = {f'PIP_{name}': value for name, value in pip.items()}
    result = set_up(project, no_proxy='127.0.0.1', **changes)
    message = only_error(result)
    if message.startswith('error: not enough disk space'):
        pytest.skip(message)  # this machine's: the installation is not reached
    assert 'no connection to the package index' in message
    log = re.search(r'\(log: (.*)\)', message)[1]
    assert 'ERROR: ' in Path(log).read_text()
    assert list((project.parent / 'tmp').iterdir()) == []
    assert not (project / '.venv/.setup-done').exists()


@pytest.mark.parametrize(
    'line, reason',
    [
        ('WARNING: Retrying (Retry(total=0)) after connection broken by x', 'no connection'),
        ('ERROR: Could not find a version', 'ERROR: Could not find a version'),
        ('  foo.cpp:3: fatal error: Python.h: No such file', 'foo.cpp:3: fatal error: Python.h'),
        ('', 'line 99999'),
    ],
)
def test_reason_is_found_at_the_head_of_a_long_log(tmp_path, line, reason):
    log = tmp_path / 'setup.log'
    later = [f'line {number}' for number in range(100_000)]
    log.write_text('\n'.join(['before: error: an earlier step', line, *later]))
    functions = 'eval "$(sed -n "/^progress()/,/^}/p; /^reason()/,/^}/p" "$0")"'
    command = ['bash', '-c', f'set -euo pipefail; {functions}; log=$1; reason 2']
    result = subprocess.run(
        [*command, str(ROOT / 'tools/setup_env.sh'), str(log)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().startswith(reason)
    assert len(result.stdout.splitlines()) == 1


def test_setup_does_nothing_the_second_time():
    if not STAMP.exists() or any(
        (ROOT / name).stat().st_mtime > STAMP.stat().st_mtime for name in SETUP_INPUTS
    ):
        pytest.skip('the environment was not set up by `make setup`, or its inputs changed since')
    before = STAMP.stat().st_mtime_ns
    environ = {name: os.environ[name] for name in ('PATH', 'HOME') if name in os.environ}
    result = subprocess.run(
        ['make', '-C', str(ROOT), 'setup'], capture_output=True, text=True, env=environ
    )
    assert result.returncode == 0, result.stderr
    assert 'up to date' in result.stdout
    assert STAMP.stat().st_mtime_ns == before


def requirements(name: str) -> dict[str, Requirement]:
    """Canonical name -> requirement of each line of a file in requirements/."""
    lines = (ROOT / 'requirements' / name).read_text().splitlines()
    parsed = [Requirement(line.split(' #')[0]) for line in lines if line and line[0] != '#']
    return {re.sub('[-_.]+', '-', each.name.lower()): each for each in parsed}


def test_every_requirement_is_pinned_by_name_and_version():
    pins = requirements('constraints.txt')
    for name, pin in pins.items():
        assert [each.operator for each in pin.specifier] == ['=='], name
        assert pin.url is None, name
    direct = {**requirements('runtime.txt'), **requirements('dev.txt')}
    assert set(direct) <= set(pins)


def test_environment_has_the_pinned_versions():
    pins = requirements('constraints.txt')
    direct = {**requirements('runtime.txt'), **requirements('dev.txt')}
    different = {}
    for name, pin in pins.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            assert name not in direct, name
            continue
        if installed not in pin.specifier:
            different[name] = f'{installed} instead of {pin.specifier}'
    assert different == {}


def test_supported_python_is_stated_once_more_and_the_same():
    script = (ROOT / 'tools/setup_checks.sh').read_text()
    oldest = re.search(r'^oldest_minor=(\d+)', script, re.M)[1]
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    assert project['project']['requires-python'] == f'>=3.{oldest}'


@pytest.mark.parametrize('script', ['.ci/run', 'tools/setup_env.sh'])
def test_scripts_are_executable(script):
    assert os.access(ROOT / script, os.X_OK)


@pytest.mark.parametrize('script', ['.ci/run', 'tools/setup_env.sh', 'tools/setup_checks.sh'])
def test_scripts_parse(script):
    subprocess.run(['bash', '-n', str(ROOT / script)], check=True)
