"""Starts a transfer from a pre-trained backbone."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.registry import HOOKS


@HOOKS.register_module()
class LoadBackboneHook(Hook):
    """Loads ``model.backbone`` before training and logs the report; ``--backbone`` adds it.

    MMEngine's own ``init_cfg=dict(type='Pretrained', prefix='backbone.')`` goes on with a warning
    when keys do not fit. This stops. A resumed run keeps the weights it resumed.

    Args:
        checkpoint: file of a pre-training, as MMEngine saved it.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def before_train(self, runner: Runner) -> None:
        if runner.iter > 0:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        runner.logger.info(str(load_backbone(model.backbone, self.checkpoint)))
