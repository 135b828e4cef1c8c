"""Unreadable pictures: other ones in their places, always the same; noted, listed, and limited."""

from pathlib import Path

import pytest
import torch
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader
from toy_run import SIZE, Numbers, assert_same, final_state, toy_runner, train_with_stops

from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.engine.hooks.unreadable_hook import UnreadableHook
from symmim_mm.engine.runner.resumable_loader import PositionedLoader
from symmim_mm.engine.runner.unreadable import MOST_TRIES, readable_sample
from symmim_mm.utils.errors import UserError

BROKEN = (3, 11)


class Damaged(Numbers):
    """Rows of which some cannot be read."""

    def __init__(self, broken: tuple[int, ...] = BROKEN) -> None:
        super().__init__()
        self.broken = broken

    def __getitem__(self, index: int) -> dict:
        row = super().__getitem__(index)  # draws first, so that a try leaves traces behind
        if index in self.broken:
            raise ImageError(f'row{index}.png ends too early')
        return row


def run(broken: tuple[int, ...] = BROKEN, **changes) -> dict:
    """What :func:`toy_runner` needs; a row of 22 is 4.5 %."""
    options = dict(most_share=0.5, least_seen=8) | changes
    unreadable = dict(type='symmim_mm.UnreadableHook', **options)
    return dict(dataset=Damaged(broken), extra=dict(unreadable=unreadable))


def listed(work_dir: Path) -> dict[str, str]:
    lines = (work_dir / 'unreadable.txt').read_text().splitlines()
    found = dict(line.split('\t') for line in lines)
    assert len(found) == len(lines)  # each once
    return found


def counts(runner) -> tuple[int, int]:
    hub = runner.message_hub
    return hub.get_info('pictures_seen'), hub.get_info('unreadable_pictures')


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


def test_the_others_are_drawn_as_without_broken_ones(tmp_path: Path) -> None:
    """Nothing but the place of a broken picture changes."""

    def batches(dataset: Numbers, pass_over: bool) -> torch.Tensor:
        sampler = DefaultSampler(dataset, shuffle=False)
        loader = PositionedLoader(DataLoader(dataset, batch_size=2, sampler=sampler), seed=5)
        if pass_over:
            loader.pass_over_unreadable()
        rows = torch.cat([batch['inputs'] for batch in loader])
        assert not loader.unreadable
        return rows

    expected = batches(Numbers(), False)
    found = batches(Damaged(), True)
    same = (found == expected).all(dim=1)
    assert [index for index in range(SIZE) if not same[index]] == list(BROKEN)
    # The replacement keeps the random numbers of the place: only the row's own part differs.
    steps = (found - expected)[list(BROKEN)] * SIZE
    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)
    assert torch.equal(batches(Numbers(), True), expected)


def test_replacements_are_spread_and_fixed() -> None:
    dataset = Damaged()
    first = [readable_sample(dataset, 3, 0, place).value['inputs'] for place in range(50)]
    again = [readable_sample(dataset, 3, 0, place).value['inputs'] for place in range(50)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    plain = [readable_sample(Numbers(), 0, 0, place).value['inputs'] for place in range(50)]
    rows = {round(((a - b)[0] * SIZE).item()) for a, b in zip(first, plain, strict=True)}
    assert len(rows) > 10 and not rows & set(BROKEN)


def test_too_many_stop_the_run(tmp_path: Path) -> None:
    runner = toy_runner(tmp_path, epochs=99, **run(most_share=0.02, least_seen=40))
    with pytest.raises(UserError) as error:
        runner.train()
    seen, unreadable = counts(runner)
    assert str(error.value) == (
        f'{unreadable} of {seen} pictures cannot be read, more than 2.00%: mend or remove those '
        f'listed in {tmp_path / "unreadable.txt"}, then go on with --resume'
    )
    assert 40 <= seen < 60
    # The count goes on with the run.
    again = toy_runner(tmp_path, epochs=99, resume=True, **run(most_share=0.9, least_seen=1))
    again.load_or_resume()
    assert counts(again)[0] >= 20


def test_few_pictures_say_nothing_about_the_share(tmp_path: Path) -> None:
    toy_runner(tmp_path, epochs=1, **run(most_share=0.0, least_seen=1000)).train()


def test_a_data_set_that_is_all_broken(tmp_path: Path) -> None:
    runner = toy_runner(tmp_path, epochs=1, **run(tuple(range(SIZE))))
    with pytest.raises(ImageError, match=f'{MOST_TRIES} pictures in a row .* ends too early'):
        runner.train()


def test_other_errors_are_not_passed_over(tmp_path: Path) -> None:
    class Defect(Numbers):
        def __getitem__(self, index: int) -> dict:
            raise KeyError('a defect of the pipeline')

    with pytest.raises(KeyError, match='a defect'):
        toy_runner(tmp_path, epochs=1, **(run() | dict(dataset=Defect()))).train()


def test_without_the_hook_the_first_one_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r'^row(3|11)\.png ends too early$'):
        toy_runner(tmp_path, epochs=1, dataset=Damaged()).train()


@pytest.mark.parametrize('name', ['a\tb\nc.png', 'Größe 名前.png', 'bytes\udcff.png'])
def test_names_of_every_kind_take_one_line(tmp_path: Path, name: str) -> None:
    class Named(Damaged):
        def get_data_info(self, index: int) -> dict:
            return dict(img_path=name)

    toy_runner(tmp_path, epochs=2, **(run() | dict(dataset=Named()))).train()
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
        UnreadableHook(**options)
