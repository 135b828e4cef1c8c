"""Evaluation of a finished run of any of the three libraries."""

from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from symmim_mm.apis.train import RECORD_HOOK
from symmim_mm.checkpoint.mmengine import use_safe_loaders
from symmim_mm.checkpoint.read import read_model_state
from symmim_mm.config.load import load_config
from symmim_mm.engine.annotation_check import check_annotations
from symmim_mm.engine.launch import launched_runner
from symmim_mm.utils.dist import unwrap
from symmim_mm.utils.errors import START_AGAIN, UserError
from symmim_mm.utils.text import short


def test(
    config: str | Path,
    checkpoint: str | Path,
    *,
    work_dir: str | Path | None = None,
    seed: int | None = None,
    cfg_options: Mapping[str, object] | None = None,
    launcher: str = 'none',
) -> dict[str, float]:
    """Load all weights of a run and compute the metrics of its config on its test set.

    Args:
        config: the config file of the run.
        checkpoint: one of the run's.
        work_dir: where the metrics are written; ``work_dirs/<config>`` by default.
        seed: random seed, as in :func:`symmim_mm.apis.train.train`.
        cfg_options: changes of the config, by dotted name.
        launcher: what started this process: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Returns:
        The metrics, by the libraries' names.

    Raises:
        UserError: a config without a test set, or a checkpoint that does not fit the model.
        Fault: a loader worker or another process died.
    """
    cfg = load_config(config, work_dir=work_dir, seed=seed, cfg_options=cfg_options)
    if 'test_dataloader' not in cfg:
        raise UserError(f'{config} has no test_dataloader: a pre-training has no metrics')
    # A config that a run wrote into its folder would let the test write the run's record anew.
    hooks = cfg.get('custom_hooks', [])
    cfg.custom_hooks = [hook for hook in hooks if hook.get('type') != RECORD_HOOK]
    state = read_model_state(checkpoint)
    with launched_runner(cfg, launcher, START_AGAIN) as runner:
        check_annotations(cfg, ('test',))
        load_weights(unwrap(runner.model), state, f'checkpoint {checkpoint} does not fit {config}')
        return runner.test()


def build_trained(cfg: Config, config: str | Path, checkpoint: str | Path | None) -> BaseModel:
    """Build the model of a config in evaluation mode, with all weights of a checkpoint, if any.

    The default scope becomes that of the config, named ``config`` in messages.

    Raises:
        UserError: an unreadable checkpoint, or one that does not fit.
    """
    use_safe_loaders()
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = MODELS.build(cfg.model)
    if checkpoint is not None:
        state = read_model_state(checkpoint)
        load_weights(model, state, f'checkpoint {checkpoint} does not fit {config}')
    return model.eval()


def load_weights(model: nn.Module, state: Mapping[str, Tensor], problem: str) -> None:
    """Load all weights of a model; ``UserError`` with a problem where names or shapes differ."""
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        # The first line names the class only, the next ones the keys.
        raise UserError(f'{problem}: {short(" ".join(str(error).split()[:40]), 500)}') from error
