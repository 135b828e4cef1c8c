"""Frozen features of a labeled dataset."""

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from symmim_mm.engine.hooks.loader_hook import look_after
from symmim_mm.engine.runner.watched_loader import WatchedLoader
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


def build_loaders(cfg: Config) -> dict[str, WatchedLoader]:
    """Build the train and validation loaders of a config; both read every image once, in order."""
    # The hook that watches the loaders of a training, unless the config removes it.
    hook = cfg.get('default_hooks', {}).get('loader')
    found = {}
    for name in ('train', 'val'):
        loader = cfg[f'{name}_dataloader'].copy()
        built = Runner.build_dataloader(loader, seed=cfg.randomness.seed)
        found[name] = WatchedLoader(built, f'{name}_dataloader', START_AGAIN)
        if hook:
            look_after(found[name], HOOKS.build(hook).timeout)
        if len(found[name].dataset) == 0:
            raise UserError(f'{name}_dataloader: no images in {loader.dataset.data_root}')
    return found
