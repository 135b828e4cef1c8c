"""Steps that are not finite: skipped, counted, listed, and limited."""

from pathlib import Path

import pytest
import torch
from toy_run import At, Numbers, final_state, toy_runner

from symmim_mm.checkpoint.read import checkpoint_files
from symmim_mm.utils.errors import UserError


def test_skipped_counted_and_named(tmp_path: Path) -> None:
    class AnyBytes(Numbers):
        def get_data_info(self, index: int) -> dict:
            return dict(img_path=f'row{index}\udcff.png')

    runner = toy_runner(tmp_path, epochs=3, dataset=AnyBytes(bad=(7,)))
    runner.train()
    listed = (tmp_path / 'not_finite_rank0.txt').read_text().splitlines()
    skipped = runner.message_hub.get_info('skipped_steps')
    # Row 7 comes once an epoch, or not at all where it falls into the batch that is left out.
    assert 2 <= skipped <= 3
    assert len(listed) == skipped
    assert all(r'row7\udcff.png' in line and line.count('row') == 4 for line in listed)
    for value in final_state(tmp_path)['state_dict'].values():
        assert value.isfinite().all()
    again = toy_runner(tmp_path, epochs=4, resume=True)
    again.train()
    assert again.message_hub.get_info('skipped_steps') >= skipped


def test_too_many_in_a_row_end_the_run(tmp_path: Path) -> None:
    runner = toy_runner(
        tmp_path, epochs=2, dataset=Numbers(bad=tuple(range(22))), not_finite=dict(most_in_a_row=3)
    )
    named = r'iteration 3: the loss was not finite, 3 times in a row.*row\d+.png'
    with pytest.raises(UserError, match=named):
        runner.train()
    assert not checkpoint_files(tmp_path)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    """Spoiled by hand, as no step would do it, between one checkpoint and the next."""

    def spoil() -> None:
        with torch.no_grad():
            runner.model.head.bias[0] = float('inf')

    # The loss is not finite either, so that no step repairs them before they would be saved.
    runner = toy_runner(tmp_path, epochs=2, hooks=(At(7, spoil),))
    with pytest.raises(UserError, match='not finite after iteration 10 .*epoch_1.pth: resume'):
        runner.train()
    assert [path.name for path in checkpoint_files(tmp_path)] == ['epoch_1.pth']


def test_needs_a_guarded_optimizer(tmp_path: Path) -> None:
    runner = toy_runner(tmp_path, epochs=1)
    runner.optim_wrapper['type'] = 'OptimWrapper'
    with pytest.raises(UserError, match='start the run with tools/train.py'):
        runner.train()
