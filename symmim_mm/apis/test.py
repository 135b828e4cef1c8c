"""Evaluation of a finished run of any of the three libraries."""

import argparse

from mmengine.model import is_model_wrapper

from symmim_mm.checkpoint.read import read_model_state
from symmim_mm.config.load import load_config
from symmim_mm.engine.annotation_check import check_annotations
from symmim_mm.engine.launch import runner_of
from symmim_mm.utils.errors import START_AGAIN, UserError
from symmim_mm.utils.text import short


def evaluate_checkpoint(args: argparse.Namespace) -> None:
    """Run ``tools/test.py``: load all weights of a run and compute the metrics of its config.

    Raises:
        UserError: a config without a test set, or a checkpoint that does not fit the model.
        Fault: a loader worker or another process died.
    """
    cfg = load_config(args)
    if 'test_dataloader' not in cfg:
        raise UserError(f'{args.config} has no test_dataloader: a pre-training has no metrics')
    state = read_model_state(args.checkpoint)
    with runner_of(cfg, args.launcher, START_AGAIN) as runner:
        check_annotations(cfg, ('test',))
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        try:
            model.load_state_dict(state, strict=True)
        except RuntimeError as error:
            # The first line names the class only, the next ones the keys.
            detail = short(' '.join(str(error).split()[:40]), 500)
            raise UserError(
                f'checkpoint {args.checkpoint} does not fit {args.config}: {detail}'
            ) from error
        runner.test()
