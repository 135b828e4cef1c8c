"""The launch scripts: mistakes in one line, the command lines that they make, real processes."""

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
from paths import TOOLS
from processes import WAIT_S

SETTINGS = ['NNODES', 'NODE_RANK', 'MASTER_ADDR', 'PORT', 'OMP_NUM_THREADS', 'MAX_RESTARTS']
SETTINGS += ['GPUS', 'GPUS_PER_NODE', 'CPUS_PER_TASK', 'GRES', 'SRUN_ARGS']
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in SETTINGS}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('')
    return str(path)


def call(script: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ['bash', str(TOOLS / script), *arguments], env=ENVIRONMENT | settings,
        capture_output=True, text=True, timeout=WAIT_S,
    )  # fmt: skip


def mistake(result: subprocess.CompletedProcess) -> str:
    """Return the one line on stderr of a call with a user's mistake."""
    assert result.returncode == 2, result
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith('error: ')
    return result.stderr


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_help_and_usage(script, config):
    assert os.access(TOOLS / script, os.X_OK)
    result = call(script, '--help')
    assert result.returncode == 0
    assert f'tools/{script} ' in result.stdout
    assert result.stderr == ''
    assert 'usage: ' in mistake(call(script, config))


def test_missing_files_are_named(config):
    assert 'config none.py does not exist' in mistake(call('dist_train.sh', 'none.py', '2'))
    assert 'checkpoint none.pth does not' in mistake(call('dist_test.sh', config, 'none.pth', '2'))
    assert 'config none.py' in mistake(call('slurm_train.sh', 'part', 'job', 'none.py', 'out'))


@pytest.mark.parametrize('count', ['0', '-1', 'two', '1.5', ''])
def test_process_count_must_be_a_positive_number(config, count):
    assert 'GPUS must be a positive number' in mistake(call('dist_train.sh', config, count))
    assert 'GPUS must be' in mistake(call('dist_test.sh', config, config, count))


def test_more_gpus_than_present(config):
    if not Path('/dev/nvidiactl').exists():
        pytest.skip('needs a GPU')
    import torch

    present = torch.cuda.device_count()
    message = mistake(call('dist_train.sh', config, str(present + 1)))
    assert f'{present + 1} GPUs asked for, {present} present' in message


@pytest.mark.parametrize(
    ('settings', 'named'),
    [
        ({'NNODES': 'x'}, 'NNODES'),
        ({'NNODES': '2', 'NODE_RANK': '0'}, 'MASTER_ADDR'),
        ({'NNODES': '2', 'MASTER_ADDR': '127.0.0.1'}, 'NODE_RANK'),
        ({'NNODES': '2', 'MASTER_ADDR': '127.0.0.1', 'NODE_RANK': '2'}, 'from 0 to 1'),
        ({'NNODES': '2', 'MASTER_ADDR': 'no-such.invalid', 'NODE_RANK': '1'}, 'is unknown here'),
        ({'PORT': 'high'}, 'PORT'),
        ({'PORT': '65536'}, 'from 1 to 65535'),
        ({'MAX_RESTARTS': '-1'}, 'MAX_RESTARTS must be a number'),
        ({'MAX_RESTARTS': '1', 'PORT': '29511'}, 'MAX_RESTARTS works on one node'),
        (
            {'MAX_RESTARTS': '1', 'NNODES': '2', 'NODE_RANK': '1', 'MASTER_ADDR': '127.0.0.1'},
            'MAX_RESTARTS works on one node',
        ),
    ],
)
def test_settings_are_checked(config, settings, named):
    assert named in mistake(call('dist_train.sh', config, '1', **settings))


def test_a_port_that_is_in_use_is_refused_on_the_first_node(config):
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = str(server.getsockname()[1])
        message = mistake(call('dist_train.sh', config, '1', PORT=port))
    assert f'PORT={port} is in use' in message


def fake_srun(tmp_path: Path) -> str:
    """Return a search path whose srun prints port, threads and its arguments, one per line."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    srun = folder / 'srun'
    values = '"port=$MASTER_PORT" "threads=$OMP_NUM_THREADS" "$@"'
    srun.write_text(f'#!/bin/sh\nprintf "%s\\n" {values}\n')
    srun.chmod(0o755)
    return f'{folder}:{os.environ["PATH"]}'


def test_slurm_gets_one_task_a_gpu(tmp_path, config):
    result = call(
        'slurm_train.sh', 'part', 'job', config, 'out dir', '--seed', '1',
        PATH=fake_srun(tmp_path), GPUS='16', SRUN_ARGS='--time=1:00 --qos=low', PORT='1234',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == 'port=1234'
    options = ['--partition=part', '--job-name=job', '--ntasks=16', '--ntasks-per-node=8']
    options += ['--gres=gpu:8', '--cpus-per-task=8', '--time=1:00', '--qos=low']
    assert set(options) <= set(lines)
    program = lines[lines.index('-u') + 1 :]
    assert Path(program[0]).resolve() == TOOLS / 'train.py'
    assert program[1:] == [
        config, '--work-dir', 'out dir', '--launcher', 'slurm', '--seed', '1'
    ]  # fmt: skip


def test_slurm_settings_are_checked(tmp_path, config):
    path = fake_srun(tmp_path)
    arguments = ('slurm_train.sh', 'part', 'job', config, 'out')
    assert 'GPUS must be' in mistake(call(*arguments, PATH=path, GPUS='none'))
    uneven = call(*arguments, PATH=path, GPUS='12', GPUS_PER_NODE='8')
    assert 'not a multiple' in mistake(uneven)
    assert 'PORT must be' in mistake(call(*arguments, PATH=path, PORT='0'))
    small = call(*arguments, PATH=path, GPUS='2')
    assert '--ntasks-per-node=2' in small.stdout.splitlines()
    cpu = call(*arguments, PATH=path, GPUS='2', GRES='none', CPUS_PER_TASK='3')
    assert {'--gres=none', '--cpus-per-task=3', 'threads=3'} <= set(cpu.stdout.splitlines())
    assert 'threads=1' in small.stdout.splitlines()


def test_slurm_absent(config):
    if any((Path(place) / 'srun').exists() for place in os.environ['PATH'].split(':')):
        pytest.skip('Slurm is installed')
    assert 'srun not found' in mistake(call('slurm_train.sh', 'part', 'job', config, 'out'))


SUM_OF_RANKS = """
import os, sys, torch
from torch import distributed
distributed.init_process_group('gloo')
total = torch.tensor([distributed.get_rank() + 1])
distributed.all_reduce(total)
line = f'sum={total.item()} threads={os.environ["OMP_NUM_THREADS"]} arguments={sys.argv[1:]}'
sys.stdout.write(line + '\\n')  # in one write; print would let the other rank write in between
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_launches_of_two_processes_side_by_side(tmp_path):
    """No port is given, so neither may use the other's; both ranks of each must answer."""
    script = tmp_path / 'ranks.py'
    script.write_text(SUM_OF_RANKS)
    command = f'source "{TOOLS}/launch.sh"; launch 2 "{script}" a "b c"'
    environment = ENVIRONMENT | dict(CUDA_VISIBLE_DEVICES='')
    running = [
        subprocess.Popen(
            ['bash', '-c', command], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    threads = max(len(os.sched_getaffinity(0)) // 2, 1)
    for process in running:
        output, _ = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0
        assert output.startswith('no GPU: 2 processes on the CPU')
        assert (
            re.findall(r'sum=(\d+) threads=(\d+) arguments=(.*)', output)
            == [('3', str(threads), "['a', 'b c']")] * 2
        )


SUM_AFTER_A_DEATH = """
import os, sys, torch
from torch import distributed
distributed.init_process_group('gloo')
total = torch.tensor([distributed.get_rank() + 1])
distributed.all_reduce(total)
start = int(os.environ['TORCHELASTIC_RESTART_COUNT'])
if start == 0 and os.environ['RANK'] == sys.argv[1]:
    os.kill(os.getpid(), 9)
distributed.new_group()  # connects anew, with the addresses in the store
distributed.all_reduce(total)
print(f'start={start} sum={total.item()}')
distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize('victim', ['0', '1'])
def test_restarted_processes_find_each_other(tmp_path, victim):
    """Rank 0 keeps the addresses; those of the first start are of processes that have ended."""
    script = tmp_path / 'ranks.py'
    script.write_text(SUM_AFTER_A_DEATH)
    result = subprocess.run(
        ['bash', '-c', f'source "{TOOLS}/launch.sh"; launch 2 "{script}" {victim}'],
        env=ENVIRONMENT | dict(CUDA_VISIBLE_DEVICES='', MAX_RESTARTS='1'),
        capture_output=True, text=True, timeout=WAIT_S,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert re.findall(r'start=(\d+) sum=(\d+)', result.stdout) == [('1', '6')] * 2
