"""Frozen features of a labeled dataset."""

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from symmim_mm.engine.runner.fault_reporting_loader import FaultReportingLoader
from symmim_mm.registry import HOOKS
from symmim_mm.utils.errors import START_AGAIN, UserError

POOLINGS = ('patch_mean', 'cls_token')


@torch.no_grad()
def extract(
    backbone: nn.Module, preprocessor: nn.Module, loader: DataLoader, pooling: str = 'patch_mean'
) -> tuple[Tensor, Tensor]:
    """Encode every image of a loader.

    Args:
        backbone: a ViT with ``out_type='raw'``, put into evaluation mode.
        preprocessor: an ``mmpretrain.ClsDataPreprocessor``.
        loader: of an MMPretrain dataset with labels.
        pooling: ``'patch_mean'``: mean of the patch tokens; ``'cls_token'``.

    Returns:
        Features float32 ``(N, C)`` and labels int64 ``(N,)``, both on the CPU.
    """
    backbone.eval()
    features, labels = [], []
    for batch in loader:
        data = preprocessor(batch, training=False)
        tokens = backbone(data['inputs'])[-1].float()
        pooled = tokens[:, 0] if pooling == 'cls_token' else tokens[:, 1:].mean(dim=1)
        features.append(pooled.cpu())
        labels.append(torch.cat([sample.gt_label for sample in data['data_samples']]).cpu())
    return torch.cat(features), torch.cat(labels)


def build_loaders(cfg: Config) -> dict[str, FaultReportingLoader]:
    """Train and test loaders of a config; both read every picture once, as for testing."""
    # What limits a training's loaders, unless the config takes it out.
    hook = cfg.get('default_hooks', {}).get('loader')
    found = {}
    for name in ('train', 'val'):
        loader = cfg[f'{name}_dataloader'].copy()
        built = Runner.build_dataloader(loader, seed=cfg.randomness.seed)
        found[name] = FaultReportingLoader(built, f'{name}_dataloader', START_AGAIN)
        if hook:
            HOOKS.build(hook).limit(found[name])
        if len(found[name].dataset) == 0:
            raise UserError(f'{name}_dataloader: no images in {loader.dataset.data_root}')
    return found
