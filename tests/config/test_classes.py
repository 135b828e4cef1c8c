"""One place states the number of classes; the others follow or are refused."""

from typing import Any

import pytest
from mmengine.config import Config

from symmim_mm.config.classes import complete_classes
from symmim_mm.config.load import load_config
from symmim_mm.utils.errors import UserError

CONFIG = 'configs/classification/vit_b_finetune_imagenet.py'


def config(**options: Any) -> Config:
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(options)
    return cfg


@pytest.mark.parametrize(('classes', 'topk'), [(3, (1,)), (10, (1, 5))])
def test_the_head_states_them(classes: int, topk: tuple[int, ...]) -> None:
    cfg = load_config(CONFIG, cfg_options={'model.head.num_classes': classes}, check_data=False)
    assert cfg.data_preprocessor.num_classes == classes
    assert cfg.val_evaluator.topk == cfg.test_evaluator.topk == topk


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'data_preprocessor.num_classes': 7}, 'data_preprocessor.num_classes=7, but .*=1000'),
        ({'model.head.num_classes': 4, 'val_evaluator.topk': (1, 5)}, 'the 4 classes of model'),
        ({'model.head.num_classes': 4, 'test_evaluator.topk': 5}, 'test_evaluator.topk=5'),
    ],
)
def test_contradictions_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        complete_classes(config(**options))
