"""A loader that starts at any batch gives what a whole iteration gives from there, and reports.

Loaders of validations and tests give MMEngine's batches; workers that die or hang are named.
"""

import multiprocessing
import pickle
import time
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmengine.config import Config
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.hooks import Hook
from mmengine.runner import Runner
from processes import wait_until
from torch.utils.data import DataLoader
from toy_run import SIZE, Numbers, counting_loader, toy_runner

from symmim_mm.datasets.samplers.seeding import seed_everything, seed_sample, seed_step
from symmim_mm.engine.faults import report_faults
from symmim_mm.engine.launch import substitute_types
from symmim_mm.engine.runner.resumable_loader import ResumableLoader
from symmim_mm.engine.runner.seeded_dataset import SeededDataset
from symmim_mm.utils.errors import START_AGAIN, Fault

SEED = 5


def loader(endless: bool, batch: int = 4, accumulation: int = 1, **options) -> ResumableLoader:
    dataset = Numbers()
    sampler = (InfiniteSampler if endless else DefaultSampler)(dataset, shuffle=True, seed=SEED)
    options = dict(sampler=sampler, batch_size=batch, drop_last=not endless) | options
    inner = DataLoader(dataset, **options)
    return ResumableLoader(inner, SEED, accumulation=accumulation, endless=endless)


def batches(found: ResumableLoader, count: int | None = None) -> list[torch.Tensor]:
    torch.rand(7)  # earlier draws must not matter
    return [batch['inputs'] for batch in islice(iter(found), count)]


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 3), st.data())
def test_within_an_epoch(batch: int, accumulation: int, epoch: int, data) -> None:
    found = loader(False, batch, accumulation)
    assert len(found) == SIZE // batch // accumulation * accumulation
    assert found.batch_size == batch
    found.start_at(epoch, 0)
    whole = batches(found)
    assert len(whole) == len(found)
    start = data.draw(st.integers(0, len(found)))
    found.start_at(epoch, start)
    rest = batches(found)
    assert len(rest) == len(found) - start
    assert all(torch.equal(a, b) for a, b in zip(rest, whole[start:], strict=True))


@given(start=st.integers(0, 30), finite=st.booleans())
def test_endless(start: int, finite: bool) -> None:
    """Over a sampler without an end, and over one with epochs."""
    options = dict(sampler=DefaultSampler(Numbers(), seed=SEED)) if finite else {}
    found = loader(True, **options)
    found.start_at(0, 0)
    whole = batches(found, 34)
    found.start_at(0, start)
    pairs = zip(batches(found, 4), whole[start : start + 4], strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert found.batch_sampler.indices_of(start)


class LostConnection:
    """Fails in the process that unpickles it, as a batch does whose worker died meanwhile."""

    def __reduce__(self):
        return lose, ()


def lose() -> None:
    raise ConnectionResetError(104, 'Connection reset by peer')


def test_a_worker_that_dies_while_its_batch_is_sent(sigchld) -> None:
    found = loader(False, num_workers=1, collate_fn=lambda samples: LostConnection())
    with (
        pytest.raises(Fault, match='DataLoader worker exited .* iteration 1: .* --resume'),
        report_faults(),
        found.report_deaths(),
    ):
        next(iter(found))


def test_every_epoch_is_different() -> None:
    found = loader(False)
    epochs = []
    for epoch in range(2):
        found.start_at(epoch, 0)
        epochs.append(torch.cat(batches(found)))
    assert not set(epochs[0].flatten().tolist()) & set(epochs[1].flatten().tolist())


def test_batches_of_one_aspect_ratio() -> None:
    """MMDetection's batch sampler, which has no batch size that torch knows."""
    dataset = Numbers()
    sampler = DefaultSampler(dataset, shuffle=True, seed=SEED)
    inner = DataLoader(dataset, batch_sampler=AspectRatioBatchSampler(sampler, 4))
    found = ResumableLoader(inner, SEED)
    assert found.batch_size == 4
    found.start_at(1, 0)
    whole = batches(found)
    found.start_at(1, 3)
    assert all(torch.equal(a, b) for a, b in zip(batches(found), whole[3:], strict=True))


@pytest.mark.parametrize('workers', [0, 2])
def test_an_epoch_does_not_depend_on_those_before(workers: int) -> None:
    """Also where batches are left over, which MMDetection's sampler would keep for later."""

    def epoch(found: ResumableLoader, number: int) -> list[torch.Tensor]:
        found.start_at(number, 0)
        return batches(found)

    def fresh() -> ResumableLoader:
        dataset = Numbers()
        sampler = AspectRatioBatchSampler(DefaultSampler(dataset, shuffle=True, seed=SEED), 2)
        inner = DataLoader(dataset, batch_sampler=sampler, num_workers=workers)
        return ResumableLoader(inner, SEED, accumulation=4)

    assert len(fresh()) < len(fresh().batch_sampler.batches)
    found = fresh()
    for number in range(3):
        pairs = zip(epoch(found, number), epoch(fresh(), number), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize('workers', [1, 3])
def test_workers_draw_the_numbers_of_the_process_itself(workers: int) -> None:
    """Also persistent ones."""
    alone, helped = loader(False), loader(False, num_workers=workers, persistent_workers=True)
    for epoch, start in ((0, 0), (1, 2), (2, 0)):
        alone.start_at(epoch, start)
        helped.start_at(epoch, start)
        pairs = zip(batches(helped), batches(alone), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_the_images_of_an_iteration_have_names() -> None:
    found = loader(False, batch=6)
    found.start_at(1, 1)
    next(iter(found))
    indices = found.batch_sampler.indices_of(len(found) + 1)
    assert len(indices) == 6
    names = found.image_names(len(found) + 1)
    assert names == ', '.join(f'row{index}.png' for index in indices[:4]) + ' and 2 more'
    assert found.image_names(len(found) + 1, most=None).count('.png') == 6
    assert found.image_names(99) == 'unknown images'


def test_seeds_differ_in_each_number_and_between_steps_and_samples() -> None:
    seen = set()
    for call, numbers in (
        (seed_step, (1, 2, 0)), (seed_step, (2, 1, 0)), (seed_step, (1, 2, 1)),
        (seed_sample, (1, 2)), (seed_sample, (2, 1)), (seed_everything, (1,)),
        (seed_everything, (1, 0)),
    ):  # fmt: skip
        call(*numbers)
        seen.add(torch.rand(1).item())
    assert len(seen) == 7


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
    # Only a sample that is being read is named, not the last one of an idle worker.
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
