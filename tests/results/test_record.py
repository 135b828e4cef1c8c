"""Writing, reading and finding records; hashes of files and configs."""

import json
import subprocess
import sys

import pytest
from make_runs import data, record

from symmim_mm.config.hash import config_sha256
from symmim_mm.results.machine import hardware, versions
from symmim_mm.results.record import Record, find_records, parent_of
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256


def test_written_and_read_back(tmp_path):
    item = record(metrics={'top1': 61.25}, chance={'top1': 10.0}, images=2000)
    path = item.write(tmp_path / 'run')
    assert Record.read(path) == item
    assert [file.name for file in path.parent.iterdir()] == ['result.json']
    # The order of the fields is the documented one: what it is, what it reached, how.
    keys = list(json.loads(path.read_text()))
    assert keys[:3] == ['schema', 'run', 'method'] and keys[-2:] == ['started', 'finished']


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('schema', 2, 'schema 2, this version reads schema 1'),
        ('schema', ..., 'schema None'),
        ('task', 'finetuning', "task: should be 'pretrain', 'finetune', "),
        ('seed', '0', "seed: should be a valid integer, got '0'"),
        ('seed', True, 'seed: should be a valid integer'),
        ('config_sha256', 'abc', 'config_sha256: '),
        ('metrics', {'top1': 0.61e3}, 'metrics.top1 must be a percentage'),
        ('metrics', {'top1': None}, 'metrics.top1: should be a valid number'),
        ('chance', {'miou': -1}, 'chance.miou must be a percentage'),
        ('figures', ['../../other/secret.png'], 'figures.0: must be a path below'),
        ('curve', '/etc/passwd', 'curve: must be a path below the run directory'),
        ('checkpoint', None, 'checkpoint and checkpoint_sha256 must both'),
        ('hardware', {'gpus': -1}, 'hardware.gpus: should be greater'),
        ('duration_s', -1, 'duration_s: should be greater'),
        ('finished', 'yesterday', 'finished: must be an ISO 8601 time'),
        ('finished', '2026-01-01T00:00:00', 'finished: must be an ISO 8601 time'),
        ('surprise', 1, 'unknown field: surprise'),
        ('run', ..., 'missing field: run'),
    ],
)
def test_a_bad_field_is_reported_in_one_line(tmp_path, field, value, message):
    path = record().write(tmp_path)
    data = json.loads(path.read_text()) | {field: value}
    path.write_text(json.dumps({key: item for key, item in data.items() if item is not ...}))
    with pytest.raises(UserError) as error:
        Record.read(path)
    assert str(path) in str(error.value) and message in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'text', ['', '{"schema": 1', '[]', 'null', '\x00\xff', '[' * 100000,
             '{"schema": 1, "metrics": {"top1": NaN}}'],
)  # fmt: skip
def test_a_file_that_is_no_record(tmp_path, text):
    path = tmp_path / 'result.json'
    path.write_bytes(text.encode('latin-1'))
    with pytest.raises(UserError, match='result.json'):
        Record.read(path)


def test_a_record_without_data_and_batch_can_be_read(tmp_path):
    path = record(data=data(300)).write(tmp_path)
    values = json.loads(path.read_text())
    assert values['data']['train']['images'] == 300
    for name in ('data', 'batch', 'flops_per_image'):
        del values[name]
    path.write_text(json.dumps(values))
    assert Record.read(path).data is None


def test_a_number_that_is_not_finite_is_not_written(tmp_path):
    item = record()
    item.metrics = {'loss': float('nan')}
    with pytest.raises(ValueError, match='metrics'):
        item.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_find_records_skips_hidden_and_counts_each_once(tmp_path):
    for name in ('b/one', 'a', '.suite/replaced/old'):
        record().write(tmp_path / name)
    found = find_records([tmp_path, tmp_path / 'a'])
    names = [str(path.relative_to(tmp_path)) for path in found]
    assert names == ['a/result.json', 'b/one/result.json']
    with pytest.raises(UserError, match='no such directory'):
        find_records([tmp_path / 'none'])


def test_config_hash_follows_content_and_bases(tmp_path):
    base, config = tmp_path / 'base.py', tmp_path / 'config.py'
    base.write_text('model = dict(depth=6, width=128)\n')
    config.write_text("_base_ = ['base.py']\nlr = 1e-3\n")
    first = config_sha256(config)
    config.write_text("# same\n_base_ = ['./base.py']\n\nlr=0.001\n")
    base.write_text('model = dict(width=128, depth=6)\n')
    assert config_sha256(config) == first
    assert config_sha256(config, ['lr=0.1']) != first
    assert config_sha256(config, ['a=1', 'b=2']) != config_sha256(config, ['b=2', 'a=1'])
    base.write_text('model = dict(width=128, depth=7)\n')
    assert config_sha256(config) != first
    with pytest.raises(UserError, match='does not exist'):
        config_sha256(tmp_path / 'none.py')


def test_config_hash_is_the_same_in_another_process(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("import math\nnames = {'a', 'b'}\nfunction = math.sqrt\nx = dict(b=1, a=2)\n")
    script = (
        'import sys; from symmim_mm.config.hash import config_sha256; '
        'print(config_sha256(sys.argv[1]))'
    )
    hashes = {
        subprocess.run(
            [sys.executable, '-c', script, str(config)],
            check=True, text=True, capture_output=True,
            env={'PYTHONHASHSEED': seed, 'PYTHONPATH': ':'.join(sys.path)},
        ).stdout
        for seed in '12'
    }  # fmt: skip
    assert len(hashes) == 1


def test_parent_of_needs_exactly_the_recorded_file(tmp_path):
    checkpoint = tmp_path / 'last.pth'
    checkpoint.write_bytes(b'weights')
    assert parent_of(checkpoint) is None
    item = record('mae', 'pretrain', checkpoint_sha256=file_sha256(checkpoint))
    item.write(tmp_path)
    assert parent_of(checkpoint) == item
    checkpoint.write_bytes(b'other weights')
    assert parent_of(checkpoint) is None


def test_hardware_and_versions(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '')  # of a job that this process has no part in
    monkeypatch.setattr('mmengine.dist.get_world_size', lambda: 4)
    found = hardware()
    assert found.world_size == 4 and found.cores >= 1 and found.cpu
    assert {'python', 'torch', 'mmengine', 'symmim_mm'} <= versions().keys()


def test_torch_is_loaded_to_look_for_gpus_but_not_to_read_records():
    script = (
        'import sys, symmim_mm.results.collect, symmim_mm.suite.run_suite; '
        'from symmim_mm.results.machine import hardware; '
        "assert 'torch' not in sys.modules; hardware(); "
        "sys.exit('torch' not in sys.modules)"
    )
    subprocess.run([sys.executable, '-c', script], check=True)
