"""Records what a training was given and what it drew, iteration by iteration."""

import hashlib
import json
import os
import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


def digest(value: object) -> str:
    """Hash the tensors of nested lists, tuples and dicts."""
    found = hashlib.sha256()

    def visit(part: object) -> None:
        if isinstance(part, torch.Tensor):
            found.update(part.detach().cpu().contiguous().numpy().tobytes())
        elif isinstance(part, dict):
            visit(list(part.values()))
        elif isinstance(part, list | tuple):
            for item in part:
                visit(item)

    visit(value)
    return found.hexdigest()


@HOOKS.register_module()
class StreamHook(Hook):
    """Appends a line for each iteration to ``stream.jsonl``: hashes of inputs and masks, the loss.

    Args:
        kill_at: iteration before which the process kills itself; -1 for never.
    """

    def __init__(self, kill_at: int = -1) -> None:
        self.kill_at = kill_at
        self.masks: list[str] = []

    def before_train(self, runner: Runner) -> None:
        model = runner.model
        owner, name = {
            'symmim': (model, 'draw_masks'),
            'simmim': (model, 'draw_reconstruction_mask'),
            'mae': (model.backbone, 'random_masking'),
        }[runner.cfg.run.method]
        setattr(owner, name, self._recorded(owner, getattr(owner, name)))
        self.path = Path(runner.work_dir) / 'stream.jsonl'

    def _recorded(self, owner: torch.nn.Module, draw: Callable) -> Callable:
        @wraps(draw)
        def call(*args: object, **kwargs: object) -> object:
            drawn = draw(*args, **kwargs)
            if owner.training:  # not when its health is measured
                # MAE returns its tokens first, which hang on the weights.
                masks = drawn[1:] if draw.__name__ == 'random_masking' else drawn
                self.masks.append(digest(masks))
            return drawn

        return call

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict) -> None:
        if runner.iter == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.inputs = digest(data_batch['inputs'])

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict
    ) -> None:
        line = dict(
            iteration=runner.iter, inputs=self.inputs, masks=self.masks, loss=float(outputs['loss'])
        )
        with self.path.open('a') as file:
            file.write(json.dumps(line) + '\n')
        self.masks = []
