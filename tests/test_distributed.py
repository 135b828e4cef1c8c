"""Two processes compute what one computes with the joint batch."""

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.registry import MODELS, init_default_scope
from torch.nn.parallel import DistributedDataParallel

ARCH = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64)
# BatchNorm is synchronised between ranks on GPUs only, so the heads go without it here. The
# masks are fixed, because ranks draw their own.
CFG = dict(
    type='symmim_mm.SymMIM',
    backbone=dict(type='symmim_mm.MaskedViT', arch=ARCH, img_size=32, patch_size=8),
    head={},
    contrast=dict(hidden_dims=16, out_dims=8, norm=None),
    parity='fixed',
)
STEPS = 3


def build() -> torch.nn.Module:
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(CFG)
    model.init_weights()
    return model.double()


def batches() -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        [torch.randn(8, 3, 32, 32, generator=generator, dtype=torch.double) for _ in range(2)]
        for _ in range(STEPS)
    ]


def step(run, model: torch.nn.Module, views, optimizer) -> dict[str, torch.Tensor]:
    losses = run(views, mode='loss')
    optimizer.zero_grad()
    sum(losses.values()).backward()
    optimizer.step()
    model.update_momentum(0.5)
    return {key: value.detach() for key, value in losses.items()}


def worker(rank: int, world: int, folder: str) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'file://{folder}/store', rank=rank, world_size=world)
    model = build()
    wrapped = DistributedDataParallel(model, broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = []
    for views in batches():
        share = [view.chunk(world)[rank] for view in views]
        losses = step(wrapped, model, share, optimizer)
        for value in losses.values():
            dist.all_reduce(value)
        history.append({key: value / world for key, value in losses.items()})
    if rank == 0:
        torch.save(dict(history=history, state=model.state_dict()), f'{folder}/result.pth')
    dist.destroy_process_group()


@pytest.mark.parametrize('world', [2, 4])
def test_ranks_give_the_loss_and_weights_of_one_process(world: int, tmp_path: Path) -> None:
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = [step(model, model, views, optimizer) for views in batches()]

    mp.spawn(worker, (world, str(tmp_path)), nprocs=world)
    found = torch.load(tmp_path / 'result.pth', weights_only=True)
    for one, many in zip(expected, found['history'], strict=True):
        for key in ('loss_mim', 'loss_con'):
            torch.testing.assert_close(many[key], one[key], rtol=1e-6, atol=1e-7)
    # The contrastive loss is computed in float32, hence the tolerance.
    for key, value in model.state_dict().items():
        torch.testing.assert_close(found['state'][key], value, rtol=1e-5, atol=1e-6)
