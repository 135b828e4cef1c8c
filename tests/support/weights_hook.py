"""A hook that writes, after every iteration, a hash of this rank's weights and its own loss."""

import hashlib
import json
from pathlib import Path

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module(force=True)
class WeightsHook(Hook):
    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None):
        digest = hashlib.sha256()
        for parameter in runner.model.parameters():
            digest.update(parameter.detach().numpy().tobytes())
        note = dict(weights=digest.hexdigest(), loss=float(outputs['loss']))
        with open(Path(runner.work_dir, f'rank{get_rank()}.jsonl'), 'a') as file:
            file.write(json.dumps(note) + '\n')
