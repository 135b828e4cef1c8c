"""Length of a training on one's own labels."""

import pytest

from symmim_mm.planning.transfer_plan import ENOUGH_STEPS, transfer_recipe
from symmim_mm.utils.errors import UserError


def test_few_labels_mean_many_epochs() -> None:
    for task, enough in ENOUGH_STEPS.items():
        few, many = (
            transfer_recipe(task, images, 192, rate=1e4, seconds=3600) for images in (400, 20_000)
        )
        assert few.epochs > many.epochs and few.steps >= enough and many.steps >= enough
    short = transfer_recipe('finetune', 400, 192, rate=100, seconds=60)
    assert short.steps < few.steps
    with pytest.raises(UserError, match='give a longer --budget'):
        transfer_recipe('finetune', 400, 192, rate=1, seconds=60)
