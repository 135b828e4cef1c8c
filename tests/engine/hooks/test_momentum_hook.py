"""The momentum branch in a real MMEngine run: updated once per optimizer step, by the EMA rule."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from symmim_mm.models.momentum import momentum_at

ARCH = dict(embed_dims=32, num_layers=1, num_heads=4, feedforward_channels=64)


class Images(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        return dict(inputs=torch.randint(0, 256, (3, 16, 16), generator=generator).byte())


class Reference(Hook):
    """Applies the EMA rule in float64 next to the run."""

    priority = 'VERY_LOW'  # after the hook that is tested

    def __init__(self) -> None:
        self.momenta: list[float] = []

    def before_train(self, runner: Runner) -> None:
        self.expected = copy.deepcopy(runner.model.momentum.backbone).double()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None):
        model = runner.model
        stepped = runner.optim_wrapper.should_update()
        if stepped:
            m = momentum_at((runner.iter + 1) / runner.max_iters, 0.6, 1.0, 'cosine')
            self.momenta.append(m)
            for mine, online in zip(
                self.expected.parameters(), model.backbone.parameters(), strict=True
            ):
                mine.data.mul_(m).add_(online.detach().double(), alpha=1 - m)
        for mine, follower in zip(
            self.expected.parameters(), model.momentum.backbone.parameters(), strict=True
        ):
            torch.testing.assert_close(follower.double(), mine, rtol=0, atol=1e-5)


@pytest.mark.parametrize(('accumulate', 'steps'), [(1, 6), (2, 3), (4, 2)])
def test_one_update_per_optimizer_step(accumulate: int, steps: int, tmp_path: Path) -> None:
    reference = Reference()
    runner = Runner(
        model=dict(
            type='symmim_mm.SymMIM',
            backbone=dict(type='symmim_mm.MaskedViT', arch=ARCH, img_size=16, patch_size=4),
            head={},
            contrast=dict(hidden_dims=8, out_dims=4),
            momentum=dict(start=0.6, end=1.0, schedule='cosine'),
            data_preprocessor=dict(mean=[127.0] * 3, std=[60.0] * 3, views='distorted'),
        ),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            batch_size=4,
            dataset=Images(),
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-2), accumulative_counts=accumulate),
        default_hooks=dict(
            momentum=dict(type='symmim_mm.MomentumUpdateHook'),
            checkpoint=None,
        ),
        custom_hooks=[reference],
        default_scope='mmpretrain',
        experiment_name=f'{tmp_path.name}_{accumulate}',
    )
    runner.train()
    assert len(reference.momenta) == steps
    assert reference.momenta[-1] == 1.0
