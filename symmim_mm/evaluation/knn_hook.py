"""Accuracy of k-NN during a pre-training, where some images have labels."""

import time

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from symmim_mm.evaluation.features import build_loaders, extract
from symmim_mm.evaluation.knn import classify_knn
from symmim_mm.registry import HOOKS
from symmim_mm.utils.dist import unwrap
from symmim_mm.utils.errors import UserError


@HOOKS.register_module()
class KnnHook(Hook):
    """Logs ``health/knn``, the top-1 of k-NN on the mean patch token, every few epochs on rank 0.

    Nothing that the training draws depends on it. The other processes wait meanwhile: take few
    images, such as ``labels=0.1`` of an :class:`ImageFolder`. A model that is sharded (``--fsdp``)
    is not measured.

    Args:
        train: data loader of the images whose classes vote, in order and without augmentation.
        val: data loader of the images to classify.
        interval: epochs between two measurements; the last epoch is measured in any case.
        k: number of neighbors.
        temperature: of :func:`classify_knn`.
    """

    priority = 'LOW'  # after the optimizer's and the momentum branch's step

    def __init__(
        self, train: dict, val: dict, interval: int = 10, k: int = 20, temperature: float = 0.07
    ) -> None:
        self.loaders = dict(train_dataloader=train, val_dataloader=val)
        self.interval = interval
        self.settings = dict(k=k, temperature=temperature)

    def before_train(self, runner: Runner) -> None:
        """Open the images.

        Raises:
            UserError: there are none, fewer than ``k`` to vote, or other classes to measure on.
        """
        hooks = runner.cfg.get('default_hooks', {})
        cfg = dict(self.loaders, randomness=dict(seed=runner.seed), default_hooks=hooks)
        self.built = build_loaders(Config(cfg))
        if self.settings['k'] > len(self.built['train'].dataset):
            raise UserError(f'KnnHook: k={self.settings["k"]} is more than there are images')
        infos = [self.built[split].dataset.metainfo for split in ('train', 'val')]
        train, val = (list(info.get('classes') or ()) for info in infos)
        if not train or train != val:
            raise UserError(
                'KnnHook: train and val need the same classes: name folders that have them'
            )
        self.classes = len(train)

    def after_train_epoch(self, runner: Runner) -> None:
        """Measure, if it is time."""
        due = self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)
        if not due or not is_main_process() or hasattr(runner, 'strategy'):
            return
        start, model = time.monotonic(), unwrap(runner.model)
        training = model.training
        model.eval()
        try:
            with torch.random.fork_rng(devices=[]):  # loaders draw the seeds of their workers
                (train, labels), (test, truth) = (
                    extract(model.extract_feat, model.data_preprocessor, self.built[split])
                    for split in ('train', 'val')
                )
        finally:
            model.train(training)
        features = train['patch_mean'], labels, test['patch_mean']
        found = classify_knn(*features, self.classes, **self.settings)
        top1 = 100 * float((found == truth).double().mean())
        runner.visualizer.add_scalar('health/knn', top1, runner.iter)
        took = time.monotonic() - start
        runner.logger.info(f'k-NN after {runner.iter} iterations: top-1 {top1:.2f} %, {took:.1f} s')
