"""The set-up: what it says before any long work, and that the environment is what the pins say.

Faults are made for real on a copy of the project: a search path without a compiler, a full file
system in a mount name space of its own (skipped where that is not allowed).
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
LISTS = ('runtime.txt', 'export.txt', 'dev.txt')
SETUP_INPUTS = ['tools/setup_env.sh', 'pyproject.toml', 'requirements/constraints.txt']
SETUP_INPUTS += [
    f'requirements/{name}'
    for name in (*LISTS, 'track.txt', 'tsne.txt', 'app.txt', 'transformers.txt')
]
# What is asked for and left out, and what is there in its place; see constraints.txt.
LEFT_OUT = {'opencv-python': 'opencv-python-headless', 'imaug': None}
IN_NAMESPACE = ['unshare', '--map-root-user', '--mount', 'bash', '-ec']


@pytest.fixture
def project(tmp_path):
    """A copy of what the set-up reads, with an empty cache of its own."""
    copy = tmp_path / 'project'
    for name in ('Makefile', *SETUP_INPUTS):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    (tmp_path / 'cache').mkdir()
    return copy


def environment(project: Path, **changes: str) -> dict[str, str]:
    dropped = ('CXX', 'OPS', 'PYTHON', 'PIP_CACHE_DIR', 'MAKEFLAGS')
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    own = {'XDG_CACHE_HOME': str(project.parent / 'cache'), 'PYTHON': BASE_PYTHON}
    return {**kept, **own, **changes}


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
    result = set_up(project, PATH=path, OPS='compiled')
    assert 'g++' in only_error(result)
    assert result.stdout == ''
    assert not (project / '.venv').exists()


def test_no_python_at_all_and_make_passes_the_failure_on(project, tmp_path):
    path = search_path(tmp_path / 'bin', without='python.*')
    command = ['make', '--no-print-directory', '-C', str(project), 'test']
    environ = environment(project, PATH=path, PYTHON='')
    result = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert result.returncode != 0
    assert result.stderr.startswith('error: Python 3.11 to 3.13 is needed')


def test_old_python_is_named(project, tmp_path):
    path = search_path(tmp_path / 'bin', without='python.*')
    executable(tmp_path / 'bin/python3', '#!/bin/sh\necho 3.9\n')
    message = only_error(set_up(project, PATH=path, PYTHON=''))
    assert 'Python 3.11 to 3.13 is needed' in message and 'python3 is 3.9' in message


def test_python_without_venv_names_the_package(project, tmp_path):
    # As Debian ships it without python3-venv: everything works except ensurepip.
    python = executable(
        tmp_path / 'python3',
        f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec "{BASE_PYTHON}" "$@"\n',
    )
    assert 'python3-venv' in only_error(set_up(project, PYTHON=str(python)))


@pytest.mark.skipif(not shutil.which('c++'), reason='needs a C++ compiler')
def test_missing_headers_name_the_package(project):
    headers = sysconfig.get_path('include')
    result = set_up(project, before=f'mount -t tmpfs none "{headers}"', OPS='compiled')
    assert 'python3-dev' in only_error(result)


@pytest.mark.parametrize('full', ['project', 'cache'])
def test_full_disk_is_named_before_anything_is_made(project, full):
    place = project.parent / full
    kept = shutil.copytree(place, project.parent / 'kept')
    before = f'mount -t tmpfs -o size=16m none "{place}"; cp -r "{kept}/." "{place}"'
    result = set_up(project, before=before)
    message = only_error(result)
    assert re.match(r'error: not enough disk space at \S+: \d+\.\d GiB needed', message)
    assert str(place) in message or full == 'cache'  # there, unless the project's disk is full too
    assert result.stdout == ''
    assert not (project / '.venv').exists()


def test_unknown_operators(project):
    assert 'OPS=all' in only_error(set_up(project, OPS='all'))


def test_a_stamp_from_another_folder_is_not_believed(project, tmp_path):
    (project / '.venv/bin').mkdir(parents=True)
    (project / '.venv/bin/python').symlink_to(BASE_PYTHON)
    (project / '.venv/bin/activate').write_text('VIRTUAL_ENV=/somewhere/else/.venv')
    (project / '.venv/constraints.txt').touch()
    stamp = STAMP.read_text() if STAMP.exists() else '0 torchvision 3.11\n'
    (project / '.venv/.setup-done').write_text(stamp)
    path = search_path(tmp_path / 'bin', without='python.*')
    assert 'is needed' in only_error(set_up(project, PATH=path, PYTHON=''))


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
    log = re.search(r'log: (.*)\)', message)[1]
    assert 'ERROR: ' in Path(log).read_text()
    assert not (project / '.venv/tmp').exists()
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
    functions = 'eval "$(sed -n "/^reason()/,/^}/p" "$0")"'
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
    pins, test_only = requirements('constraints.txt'), requirements('transformers.txt')
    for name, pin in {**pins, **test_only}.items():
        assert [each.operator for each in pin.specifier] == ['=='], name
        assert pin.url is None, name
    assert not set(pins) & set(test_only)
    for file in LISTS:
        for name, wanted in requirements(file).items():
            pin = pins[LEFT_OUT.get(name, name)]
            assert next(iter(pin.specifier)).version in wanted.specifier, name


def test_environment_has_the_pinned_versions():
    different = {}
    for name, pin in requirements('constraints.txt').items():
        if pin.marker is None or pin.marker.evaluate():
            installed = importlib.metadata.version(name)
            if installed not in pin.specifier:
                different[name] = f'{installed} instead of {pin.specifier}'
    assert different == {}


def test_nothing_is_missing_that_a_pinned_package_asks_for():
    pins, missing = requirements('constraints.txt'), {}
    for name in pins:
        for line in importlib.metadata.requires(name) or []:
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({'extra': ''}):
                canonical = re.sub('[-_.]+', '-', wanted.name.lower())
                pin = pins.get(canonical)
                version = pin and next(iter(pin.specifier)).version
                if version is None or not wanted.specifier.contains(version, prereleases=True):
                    missing.setdefault(canonical, []).append(f'{name}: {line}')
    assert missing.keys() == LEFT_OUT.keys(), missing


def test_supported_python_is_stated_once_more_and_the_same():
    script = (ROOT / 'tools/setup_env.sh').read_text()
    oldest = re.search(r'^oldest_minor=(\d+)', script, re.M)[1]
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    assert project['project']['requires-python'].split(',')[0] == f'>=3.{oldest}'


@pytest.mark.parametrize('script', ['.ci/run', 'tools/setup_env.sh'])
def test_scripts_are_executable(script):
    assert os.access(ROOT / script, os.X_OK)
