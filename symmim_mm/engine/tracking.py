"""Trackers: scalars and images for TensorBoard, W&B and MLflow, next to the local files."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import MLflowVisBackend

from symmim_mm.utils.errors import UserError

TRACKERS = ('tensorboard', 'wandb', 'mlflow')  # each is also the name of its package
# Nothing leaves the machine unless the user's environment says so.
STAY_LOCAL = dict(
    WANDB_MODE='offline',
    WANDB_DISABLE_CODE='true',
    WANDB_ERROR_REPORTING='false',
    MLFLOW_DISABLE_TELEMETRY='true',
    MLFLOW_ALLOW_FILE_STORE='true',  # mlflow 3 asks for it: files in the run's folder, no database
)


@VISBACKENDS.register_module()
class StepMLflowVisBackend(MLflowVisBackend):
    """``MLflowVisBackend`` that keeps an image of every step; MMEngine's fails without a suffix."""

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **_: object) -> None:
        """Log an image RGB uint8 ``(H, W, 3)``."""
        self.experiment.log_image(image, key=name, step=step)


def use_trackers(cfg: Config, names: Sequence[str]) -> None:
    """Let a run write to trackers, too, and draw its held-out images while it trains.

    Raises:
        UserError: an unknown tracker, or one whose package is missing.
    """
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"--track must be among {', '.join(TRACKERS)}, got '{name:.80}'")
        if find_spec(name) is None:
            raise UserError(f'--track {name} needs a package: pip install {name}')
    for variable, value in STAY_LOCAL.items():
        os.environ.setdefault(variable, value)
    run = Path(cfg.work_dir).name
    backends = dict(
        tensorboard=dict(type='TensorboardVisBackend'),
        wandb=dict(type='WandbVisBackend', init_kwargs=dict(project='symmim-mm', name=run)),
        mlflow=dict(
            type='StepMLflowVisBackend',
            exp_name='symmim-mm',
            run_name=run,
            tracking_uri=os.environ.get('MLFLOW_TRACKING_URI'),
            # A whole config has values longer than mlflow takes.
            tracked_config_keys=[key for key in ('run', 'recipe') if key in cfg],
        ),
    )
    visualizer = cfg.get('visualizer') or dict(type='Visualizer')
    own = visualizer.get('vis_backends') or [dict(type='LocalVisBackend')]
    visualizer['vis_backends'] = [*own, *(backends[name] for name in dict.fromkeys(names))]
    cfg.visualizer = visualizer
    for hook in ((cfg.get('default_hooks') or {}).get('images'), *cfg.get('custom_hooks', ())):
        if hook and hook.get('type') == 'symmim_mm.ImagesHook':
            hook['while_training'] = True
