"""Frozen features of a labeled dataset."""

from collections.abc import Callable, Sequence

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from symmim_mm.engine.runner.resumable_loader import ResumableLoader
from symmim_mm.registry import HOOKS
from symmim_mm.utils.errors import START_AGAIN, UserError

# One vector (B, C) from tokens (B, 1 + N, C), class token first.
POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    'patch_mean': lambda tokens: tokens[:, 1:].mean(dim=1),
    'cls_token': lambda tokens: tokens[:, 0],
}


@torch.no_grad()
def extract(
    encode: Callable[[Tensor], Sequence[Tensor]],
    preprocessor: nn.Module,
    loader: DataLoader,
    poolings: Sequence[str] = ('patch_mean',),
) -> tuple[dict[str, Tensor], Tensor]:
    """Encode every image of a loader once.

    Args:
        encode: from normalized images to tuples with tokens last: a ViT with ``out_type='raw'``, or
            ``extract_feat`` of a pre-training, in evaluation mode.
        preprocessor: of the images.
        loader: of an MMPretrain dataset with labels.
        poolings: names of ``POOLINGS``.

    Returns:
        Features float32 ``(N, C)`` by pooling and labels int64 ``(N,)``, all on the CPU.
    """
    features: dict[str, list[Tensor]] = {pooling: [] for pooling in poolings}
    labels = []
    for batch in loader:
        data = preprocessor(batch, training=False)
        tokens = encode(data['inputs'])[-1].float()
        for pooling, found in features.items():
            found.append(POOLINGS[pooling](tokens).cpu())
        labels.append(torch.cat([sample.gt_label for sample in data['data_samples']]).cpu())
    return {pooling: torch.cat(found) for pooling, found in features.items()}, torch.cat(labels)


def build_loaders(cfg: Config) -> dict[str, ResumableLoader]:
    """Train and test loaders of a config; both read every image once, as for testing."""
    # What limits a training's loaders, unless the config takes it out.
    hook = cfg.get('default_hooks', {}).get('loader')
    found = {}
    for name in ('train', 'val'):
        loader = cfg[f'{name}_dataloader'].copy()
        seed = cfg.randomness.seed
        built = Runner.build_dataloader(loader, seed=seed)
        if hasattr(built.sampler, 'world_size'):  # one process reads all, also in a larger job
            built.sampler.rank, built.sampler.world_size = 0, 1
            built.sampler.num_samples = built.sampler.total_size = len(built.dataset)
        found[name] = ResumableLoader(built, seed, f'{name}_dataloader', START_AGAIN)
        if hook:
            HOOKS.build(hook).limit(found[name])
        if len(found[name].dataset) == 0:
            raise UserError(f'{name}_dataloader: no images in {loader.dataset.get("data_root")}')
    return found
