"""Loaders: MMEngine's batches, and reports of workers that die or hang."""

import multiprocessing
import pickle
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.runner import Runner
from processes import wait_until
from torch.utils.data import DataLoader
from toy_run import SIZE, Numbers, counting_loader, toy_runner

from symmim_mm.engine.faults import report_faults
from symmim_mm.engine.launch import substitute_types
from symmim_mm.engine.runner.resumable_loader import ResumableLoader
from symmim_mm.engine.runner.seeded_dataset import SeededDataset
from symmim_mm.utils.errors import START_AGAIN, Fault


def plain_loader(dataset: Numbers, **options) -> DataLoader:
    return DataLoader(dataset, 4, sampler=DefaultSampler(dataset, shuffle=False), **options)


@pytest.mark.parametrize('workers', [0, 1, 2])
def test_batches_are_those_of_the_loader_within(workers: int) -> None:
    found = ResumableLoader(plain_loader(Numbers(fixed=True), num_workers=workers), seed=0)
    expected = list(plain_loader(Numbers(fixed=True)))
    assert len(found) == len(expected) and found.batch_size == 4
    for _ in range(2):
        pairs = zip(found, expected, strict=True)
        assert all(torch.equal(one['inputs'], other['inputs']) for one, other in pairs)
    assert found.dataset.reading.tolist() == [-1] * workers


def test_the_dataset_within_stays_accessible() -> None:
    found = SeededDataset(Numbers(fixed=True), seed=0)
    assert len(found) == SIZE and found.metainfo == Numbers.metainfo
    assert found.get_data_info(3)['img_path'] == 'row3.png'
    assert torch.equal(found[3]['inputs'], Numbers(fixed=True)[3]['inputs'])
    assert not hasattr(found, '__getitems__') and not hasattr(found, 'no_such_thing')
    assert len(pickle.loads(pickle.dumps(found))) == SIZE


def test_other_errors_and_other_loaders_deaths_are_not_reported(sigchld) -> None:
    found = ResumableLoader(plain_loader(Numbers(fixed=True)), seed=0)
    for text in ('shapes do not fit', 'DataLoader worker (pid 7) is killed by signal: Killed.'):
        with pytest.raises(RuntimeError) as error, found.report_deaths():
            raise RuntimeError(text)
        assert str(error.value) == text


def runner_for_test(folder: Path, dataset: Numbers) -> Runner:
    """Build a runner as ``tools/test.py`` does."""
    cfg = Config(dict(test_cfg=dict()))
    substitute_types(cfg)
    return Runner(
        model=dict(type='Toy'),
        work_dir=str(folder),
        test_cfg=cfg.test_cfg,
        test_dataloader=counting_loader(dataset),
        test_evaluator=dict(type='Count'),
        default_hooks=dict(
            logger=dict(type='symmim_mm.SafeLoggerHook'),
            loader=dict(type='symmim_mm.LoaderTimeoutHook', timeout=5),
        ),
        default_scope='mmengine',
        experiment_name=folder.name,
    )


def test_validation_and_test_are_mmengines(tmp_path: Path) -> None:
    assert runner_for_test(tmp_path / 'test', Numbers(fixed=True)).test() == dict(rows=SIZE)
    runner = toy_runner(tmp_path / 'train', epochs=2, validation=Numbers(fixed=True))
    runner.train()
    assert runner.val_loop.run() == dict(rows=SIZE)


FAULTS = {
    'dies': (
        Numbers(deadly=[7]),
        r'worker was killed by SIGKILL, reading row7.png; .* fewer {}.num_workers .* {}$',
    ),
    'hangs': (Numbers(hanging=[7]), r'within 5 seconds: one of them hangs, at .*row7.png'),
}


@pytest.mark.parametrize('fault', FAULTS)
@pytest.mark.parametrize('kind', ['val', 'test'])
def test_what_kills_or_hangs_a_worker_is_named(
    tmp_path: Path, sigchld, kind: str, fault: str
) -> None:
    dataset, problem = FAULTS[fault]
    again = dict(val='--resume', test=START_AGAIN)[kind]
    problem = problem.format(f'{kind}_dataloader', again)
    with pytest.raises(Fault, match=problem), report_faults(again):
        if kind == 'test':
            runner_for_test(tmp_path, dataset).test()
        else:
            toy_runner(tmp_path, epochs=2, validation=dataset, loader=dict(timeout=5)).train()
    assert wait_until(lambda: not multiprocessing.active_children())


class KillTrainingWorker(Hook):
    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None):
        runner.train_dataloader.workers[0].kill()
        time.sleep(60)  # until torch's signal handler raises an error


def test_a_training_worker_that_dies_during_a_validation_is_named_as_one(
    tmp_path: Path, sigchld
) -> None:
    """With endless data its workers live on while the validation reads."""
    runner = toy_runner(tmp_path, iterations=8, workers=2, validation=Numbers(fixed=True),
                        hooks=(KillTrainingWorker(),))  # fmt: skip
    died = r'worker was killed by SIGKILL.* fewer train_dataloader.num_workers .* --resume$'
    with pytest.raises(Fault, match=died), report_faults():
        runner.train()
