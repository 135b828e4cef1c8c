"""Unreadable images: replaced, always by the same ones; counted, listed, and limited."""

from pathlib import Path

import pytest
import torch
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader
from toy_run import SIZE, Numbers, assert_same, final_state, toy_runner, train_with_stops

from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.engine.hooks.data_hooks import UnreadableImagesHook
from symmim_mm.engine.runner.resumable_loader import ResumableLoader
from symmim_mm.engine.runner.seeded_dataset import MOST_TRIES, SeededDataset
from symmim_mm.utils.errors import RESUME, UserError

BROKEN = (3, 11)


def run(broken: tuple[int, ...] = BROKEN, **changes) -> dict:
    """Return options of :func:`toy_runner`; a row of 22 is 4.5 %."""
    options = dict(most_share=0.5, least_seen=8) | changes
    unreadable = dict(type='symmim_mm.UnreadableImagesHook', **options)
    return dict(dataset=Numbers(unreadable=broken), extra=dict(unreadable=unreadable))


def listed(work_dir: Path) -> dict[str, str]:
    lines = (work_dir / 'unreadable.txt').read_text().splitlines()
    found = dict(line.split('\t') for line in lines)
    assert len(found) == len(lines)  # each once
    return found


def counts(runner) -> tuple[int, int]:
    hub = runner.message_hub
    return hub.get_info('images_seen'), hub.get_info('unreadable_images')


def test_counted_and_listed_once(tmp_path: Path) -> None:
    runner = toy_runner(tmp_path, epochs=3, **run())
    runner.train()
    names = {f'row{index}.png' for index in BROKEN}
    found = listed(tmp_path)
    assert found.keys() == names
    assert all(reason == f'{name} ends too early' for name, reason in found.items())
    seen, unreadable = counts(runner)
    assert seen == 3 * 20 + unreadable
    assert 4 <= unreadable <= 10  # of three epochs of 20 rows of 22, and what replaced them


@pytest.mark.parametrize('length', [dict(epochs=3), dict(iterations=14)])
def test_resuming_is_exact(tmp_path: Path, length: dict) -> None:
    whole = toy_runner(tmp_path / 'whole', **length, **run())
    whole.train()
    train_with_stops(tmp_path / 'broken', (2, 7), 'SIGTERM', **length, **run())
    assert_same(final_state(tmp_path / 'broken'), final_state(tmp_path / 'whole'))
    assert listed(tmp_path / 'broken') == listed(tmp_path / 'whole')


@pytest.mark.slow
def test_loader_workers_make_no_difference(tmp_path: Path) -> None:
    toy_runner(tmp_path / 'none', epochs=3, **run()).train()
    two = toy_runner(tmp_path / 'two', epochs=3, workers=2, **run())
    two.train()
    assert_same(final_state(tmp_path / 'two'), final_state(tmp_path / 'none'))
    assert listed(tmp_path / 'two') == listed(tmp_path / 'none')


def test_other_images_are_those_of_a_run_without_broken_ones(tmp_path: Path) -> None:
    """Nothing changes but at the position of a broken image."""

    def batches(dataset: Numbers, skip: bool) -> torch.Tensor:
        sampler = DefaultSampler(dataset, shuffle=False)
        loader = ResumableLoader(DataLoader(dataset, batch_size=2, sampler=sampler), seed=5)
        if skip:
            loader.skip_unreadable()
        rows = torch.cat([batch['inputs'] for batch in loader])
        assert not loader.skipped
        return rows

    expected = batches(Numbers(), False)
    found = batches(Numbers(unreadable=BROKEN), True)
    same = (found == expected).all(dim=1)
    assert [index for index in range(SIZE) if not same[index]] == list(BROKEN)
    # The replacement keeps the random numbers of the position: only the row's own part differs.
    steps = (found - expected)[list(BROKEN)] * SIZE
    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)
    assert torch.equal(batches(Numbers(), True), expected)


def test_replacements_are_spread_and_fixed() -> None:
    def draw(dataset: Numbers, index: int) -> list[torch.Tensor]:
        seeded = SeededDataset(dataset, seed=0)
        samples = [seeded.readable_sample(index, position) for position in range(50)]
        return [sample.value['inputs'] for sample in samples]

    first, again, plain = (
        draw(Numbers(unreadable=BROKEN), 3),
        draw(Numbers(unreadable=BROKEN), 3),
        draw(Numbers(), 0),
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    rows = {round(((a - b)[0] * SIZE).item()) for a, b in zip(first, plain, strict=True)}
    assert len(rows) > 10 and not rows & set(BROKEN)


def test_too_many_stop_the_run(tmp_path: Path) -> None:
    runner = toy_runner(tmp_path, epochs=99, **run(most_share=0.02, least_seen=40))
    with pytest.raises(UserError) as error:
        runner.train()
    seen, unreadable = counts(runner)
    assert str(error.value) == (
        f'{unreadable} of {seen} images cannot be read, more than 2.00%: fix or remove those '
        f'listed in {tmp_path / "unreadable.txt"}, then {RESUME}'
    )
    assert 40 <= seen < 60
    # A resumed run continues the count.
    again = toy_runner(tmp_path, epochs=99, resume=True, **run(most_share=0.9, least_seen=1))
    again.load_or_resume()
    assert counts(again)[0] >= 20


def test_the_share_of_few_images_does_not_matter(tmp_path: Path) -> None:
    toy_runner(tmp_path, epochs=1, **run(most_share=0.0, least_seen=1000)).train()


def test_a_dataset_that_is_all_broken(tmp_path: Path) -> None:
    runner = toy_runner(tmp_path, epochs=1, **run(tuple(range(SIZE))))
    with pytest.raises(ImageError, match=f'{MOST_TRIES} images in a row .* ends too early'):
        runner.train()


def test_other_errors_are_not_skipped(tmp_path: Path) -> None:
    class Defect(Numbers):
        def __getitem__(self, index: int) -> dict:
            raise KeyError('a defect of the pipeline')

    with pytest.raises(KeyError, match='a defect'):
        toy_runner(tmp_path, epochs=1, **(run() | dict(dataset=Defect()))).train()


def test_without_the_hook_the_first_one_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r'^row(3|11)\.png ends too early$'):
        toy_runner(tmp_path, epochs=1, dataset=Numbers(unreadable=BROKEN)).train()


@pytest.mark.parametrize('name', ['a\tb\nc.png', 'Größe 名前.png', 'bytes\udcff.png'])
def test_names_of_every_kind_take_one_line(tmp_path: Path, name: str) -> None:
    class Named(Numbers):
        def get_data_info(self, index: int) -> dict:
            return dict(img_path=name)

    toy_runner(tmp_path, epochs=2, **(run() | dict(dataset=Named(unreadable=BROKEN)))).train()
    content = (tmp_path / 'unreadable.txt').read_bytes()
    expected = name.replace('\t', ' ').replace('\n', ' ').encode('utf-8', 'surrogateescape')
    assert content.count(b'\n') == 1
    assert content.startswith(expected + b'\t')


def test_a_list_that_cannot_be_written_does_not_stop_the_run(tmp_path: Path) -> None:
    (tmp_path / 'unreadable.txt').mkdir()
    toy_runner(tmp_path, epochs=1, **run()).train()


@pytest.mark.parametrize('options', [dict(most_share=1.5), dict(most_share=-1), dict(least_seen=0)])
def test_options(options: dict) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        UnreadableImagesHook(**options)
