"""A loader that starts at any batch gives the batches that a whole iteration gives from there."""

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import DataLoader
from toy_run import SIZE, Numbers

from symmim_mm.datasets.samplers.seeding import seed_everything, seed_sample, seed_step
from symmim_mm.engine.faults import report_faults
from symmim_mm.engine.runner.resumable_loader import ResumableLoader
from symmim_mm.engine.runner.seeded_dataset import SeededDataset
from symmim_mm.utils.errors import Fault

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


@pytest.mark.parametrize('workers', [1, 3])
def test_workers_draw_the_numbers_of_the_process_itself(workers: int) -> None:
    """Also persistent ones."""
    alone, helped = loader(False), loader(False, num_workers=workers, persistent_workers=True)
    for epoch, start in ((0, 0), (1, 2), (2, 0)):
        alone.start_at(epoch, start)
        helped.start_at(epoch, start)
        pairs = zip(batches(helped), batches(alone), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_workers_have_read_what_they_gave() -> None:
    """Only a sample that is being read is named, not the last one of an idle worker."""
    found = loader(False, num_workers=2)
    assert batches(found)
    assert found.dataset.reading.tolist() == [-1, -1]


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


def test_samples_are_seeded_by_position() -> None:
    found = SeededDataset(Numbers(), SEED)
    assert found[3]['inputs'].shape == (4,)
    first, again, other = found[3, 8], found[3, 8], found[3, 9]
    assert torch.equal(first['inputs'], again['inputs'])
    assert not torch.equal(first['inputs'], other['inputs'])


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
