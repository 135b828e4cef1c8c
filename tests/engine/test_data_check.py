"""Data that cannot be trained on are refused before the first step."""

from pathlib import Path

import pytest
from mmengine.config import ConfigDict
from toy_run import toy_runner

from symmim_mm.engine.data_check import check_data
from symmim_mm.utils.errors import UserError


@pytest.mark.parametrize(
    ('begin', 'end', 'fits'), [(0, 0.1, False), (0, 0.2, True), (0, 1, True), (2, 2.1, False)]
)
def test_a_warm_up_of_less_than_an_iteration(
    tmp_path: Path, begin: float, end: float, fits: bool
) -> None:
    """5 iterations an epoch; MMEngine counts whole ones and ends with a traceback at none."""
    runner = toy_runner(tmp_path, epochs=3)
    schedule = dict(type='LinearLR', convert_to_iter_based=True, begin=begin, end=end)
    runner.cfg.param_scheduler = [ConfigDict(schedule)]
    if fits:
        return check_data(runner)
    with pytest.raises(UserError, match=f'{end} epochs are less than an iteration where an epoch'):
        check_data(runner)
