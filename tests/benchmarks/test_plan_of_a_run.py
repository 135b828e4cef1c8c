"""Cost of a run from a measured step: its arithmetic, and what it refuses."""

import copy
import json
import math

import pytest
from paths import ROOT

from benchmarks.plan import find_entry, loader_need, read_result
from benchmarks.step_cases import config_of, identity
from symmim_mm.utils.errors import UserError

MIB = 2**20


def spread(value: float) -> dict:
    return dict(median=value, low=value / 2, high=value * 2)


def entry(method: str = 'symmim', size: str = 'quickstart', rate: float = 100.0, **more) -> dict:
    return (
        dict(
            batch=4,
            model=identity(config_of(size, method)),
            stock=False,
            checkpointed=False,
            rate=spread(rate),
            memory=dict(kept=9 * MIB, fixed=5 * MIB, each=3 * MIB),
        )
        | more
    )


def result(**sizes: dict) -> dict:
    environment = dict(
        date='2026-01-02', processor='Test', threads=1, gpus=['H100'], cores_usable=1,
        load_average=[0.0], python='3.11', versions={},
    )  # fmt: skip
    return dict(
        benchmark='step', command='tools/benchmark.py step', repeats=3, sizes=sizes,
        settings=dict(device='cuda', precision='bfloat16'), environment=environment,
    )  # fmt: skip


def write(path, found: dict) -> str:
    path.write_text(json.dumps(found))
    return str(path)


def test_the_fastest_measurement_of_the_same_step(tmp_path) -> None:
    plain = result(l=dict(symmim=entry(size='l'), simmim=entry('simmim', 'l', 500.0)))
    fast = result(
        l={
            'symmim': entry(size='l', rate=140.0),
            'symmim-stock': entry(size='l', rate=900.0, stock=True),
            'symmim-checkpointed': entry(size='l', rate=80.0, checkpointed=True),
        }
    )
    both = dict(benchmark='gpu', parts=dict(eager=plain, loader=dict(benchmark='loader'), c=fast))
    measured = read_result(write(tmp_path / 'gpu.json', both))
    wanted = identity(config_of('l', 'symmim'))
    assert find_entry(measured, wanted, False, 'F')['rate']['median'] == 140
    assert find_entry(measured, wanted, True, 'F')['name'] == 'SymMIM sparse, checkpointed ViT-L'
    other = identity(config_of('b', 'symmim'))
    with pytest.raises(UserError, match='F has no measurement of symmim, arch base.*SimMIM ViT-L'):
        find_entry(measured, other, False, 'F')
    larger = copy.deepcopy(wanted) | dict(img_size=448)
    with pytest.raises(UserError, match='448 pixels'):
        find_entry(measured, larger, False, 'F')


def test_files_that_are_no_results(tmp_path) -> None:
    for text in ('{', json.dumps(dict(benchmark='loader'))):
        (tmp_path / 'x.json').write_text(text)
        with pytest.raises(UserError, match='--measured'):
            read_result(str(tmp_path / 'x.json'))
        with pytest.raises(UserError, match='--loader'):
            loader_need(str(tmp_path / 'x.json'), [])
    with pytest.raises(UserError, match='--measured'):
        read_result(str(tmp_path / 'none.json'))


@pytest.mark.slow
def test_command(tool, tmp_path) -> None:
    """The quickstart's SymMIM: 8 epochs of the images of the config's data."""
    measured = write(tmp_path / 'step.json', result(quickstart=dict(symmim=entry())))
    loader = dict(alone=dict(ours=dict(rate=spread(50.0))), environment=dict(processor='Another'))
    feeding = write(tmp_path / 'loader.json', loader)
    config = ROOT / 'configs/quickstart/symmim_pretrain.py'
    out = tmp_path / 'plan.json'
    done = tool(
        'benchmark.py', 'plan', config, '--measured', measured, '--gpus', '2',
        '--loader', feeding, '--json', out, '--cfg-options', 'recipe.epochs=9',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    run = found['run']
    assert run['epochs'] == 9 and run['per_process'] == 8 and run['accumulation'] == 1
    assert math.isclose(run['hours']['median'], run['images'] / 200 / 3600)
    assert run['hours']['low'] > run['hours']['high'] and run['gpu_hours'] > run['hours']['median']
    assert run['memory'] > (5 + 8 * 3) * MIB
    assert found['loader']['cores'] == dict(ours={'SymMIM sparse quickstart': 2.0})
    for text in ('device hours', '| ours | 2.0 |', 'SymMIM sparse quickstart on H100'):
        assert text in done.stdout
    other = ROOT / 'configs/quickstart/mae_pretrain.py'
    wrong = tool('benchmark.py', 'plan', other, '--measured', measured)
    assert wrong.returncode == 2 and wrong.stderr.count('\n') == 1
    assert 'has no measurement of mae' in wrong.stderr
    transfer = ROOT / 'configs/quickstart/finetune.py'
    wrong = tool('benchmark.py', 'plan', transfer, '--measured', measured)
    assert wrong.returncode == 2 and 'is no pre-training' in wrong.stderr
