"""Several processes compute what one computes with the joint batch.

Masks: every process has the same seed and first draws those of the earlier processes' images, so
that its own draw is its share of what one process draws for the joint batch.
"""

import functools
import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import ConfigDict
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from tiny_models import TINY, tiny_config
from torch import Tensor, nn

from symmim_mm.models import contrast_head
from symmim_mm.utils.dist import on_main_rank
from symmim_mm.utils.errors import UserError

pytestmark = pytest.mark.xdist_group('together')  # whose fixture starts processes
BATCH, STEPS = 8, 3


@dataclass
class Case:
    """A model, and what it draws for a number of images in one forward pass."""

    model: dict
    draw: Callable[[nn.Module, int], object]
    views: int = 1
    labels: bool = False


CASES = {
    # BatchNorm is synchronized between ranks on GPUs only, so the heads have none here.
    'symmim': Case(
        tiny_config('symmim', norm=None),
        draw=lambda model, count: model.draw_masks(count, 'cpu'),
        views=2,
    ),
    'simmim': Case(
        tiny_config('simmim'),
        draw=lambda model, count: model.draw_reconstruction_mask(count, 'cpu'),
    ),
    'mae': Case(
        tiny_config('mae', mask_ratio=0.75),
        draw=lambda model, count: model.backbone.random_masking(torch.zeros(count, 16, 1)),
    ),
    'finetune': Case(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(
                type='mmpretrain.VisionTransformer',
                arch=TINY,
                img_size=32,
                patch_size=8,
                out_type='avg_featmap',
                final_norm=False,
            ),
            head=dict(
                type='mmpretrain.LinearClsHead',
                num_classes=5,
                in_channels=32,
                loss=dict(type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
            ),
        ),
        draw=lambda model, count: None,
        labels=True,
    ),
}
PLAIN = ['simmim', 'mae', 'finetune']  # without negatives taken from the batch


def build(name: str, accumulation: int = 1) -> tuple[nn.Module, OptimWrapper]:
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(CASES[name].model)
    model.init_weights()
    model.double()
    wrapper = ConfigDict(
        constructor='symmim_mm.LayerDecayOptimWrapperConstructor',
        optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.05),
        paramwise_cfg=dict(layer_decay_rate=0.65, norm_decay_mult=0.0, flat_decay_mult=0.0),
        clip_grad=dict(max_norm=1.0),
        accumulative_counts=accumulation,
    )
    return model, build_optim_wrapper(model, wrapper)


def micro_batch(name: str, model: nn.Module, step: int, part: int, parts: int) -> dict:
    """Return part ``part`` of the joint batch, with the generator where its draws start."""
    case = CASES[name]
    generator = torch.Generator().manual_seed(100 + step)
    shape = (BATCH, 3, 32, 32)
    views = [
        torch.randn(shape, generator=generator, dtype=torch.double).chunk(parts)[part]
        for _ in range(case.views)
    ]
    samples = None
    if case.labels:
        labels = torch.randint(5, (BATCH,), generator=generator).chunk(parts)[part]
        samples = [DataSample().set_gt_label(label) for label in labels]
    torch.manual_seed(200 + step)
    case.draw(model, part * (BATCH // parts))
    return dict(inputs=views if case.views > 1 else views[0], data_samples=samples)


@contextmanager
def counted_negatives(logits: list[Tensor]) -> Iterator[None]:
    """Collect the logits of the contrastive loss."""
    compute = contrast_head.F.cross_entropy

    def collect(values: Tensor, *rest: object, **options: object) -> Tensor:
        logits.append(values.detach())
        return compute(values, *rest, **options)

    with mock.patch.object(contrast_head.F, 'cross_entropy', collect):
        yield


def train(name: str, run: nn.Module, model: nn.Module, optim: OptimWrapper, parts: list[int],
          of: int) -> list[dict[str, Tensor]]:  # fmt: skip
    """Make some steps as MMEngine does; return the mean losses over ``parts`` of every step.

    Of SymMIM also the number of negatives of a query, counted in the logits.
    """
    history = []
    for step in range(STEPS):
        totals: dict[str, Tensor] = {}
        for part in parts:
            logits: list[Tensor] = []
            with optim.optim_context(run), counted_negatives(logits):
                losses = run(**micro_batch(name, model, step, part, of), mode='loss')
            optim.update_params(model.parse_losses(losses)[0])
            if name == 'symmim':
                losses['negatives'] = (logits[0].isfinite().sum(dim=1) - 1.0).mean()
            for key, value in losses.items():
                totals[key] = totals.get(key, 0) + value.detach() / len(parts)
        if name == 'symmim':
            model.update_momentum(0.5)
        history.append(totals)
    return history


def share(name: str, rank: int, world: int) -> dict:
    """Do one process's part; return the losses averaged over the processes, and the weights."""
    model, optim = build(name)
    wrapped = MMDistributedDataParallel(model, broadcast_buffers=False)
    history = train(name, wrapped, model, optim, [rank], world)
    for losses in history:
        for value in losses.values():
            dist.all_reduce(value.div_(world))
    return dict(history=history, state=model.state_dict())


def outcome_of(rank: int, fails: bool) -> str:
    """Return what this rank gets from a function that only rank 0 may call."""

    def only_on_rank_0() -> dict:
        assert rank == 0
        if fails:
            raise UserError('refused')
        return dict(rank=rank)

    try:
        return repr(on_main_rank(only_on_rank_0))
    except Exception as error:
        return repr(error)


def worker(rank: int, world: int, folder: str) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'file://{folder}/store', rank=rank, world_size=world)
    found = {name: share(name, rank, world) for name in CASES}
    if rank == 0:
        torch.save(found, f'{folder}/result.pth')
    Path(folder, f'outcomes{rank}').write_text(repr([outcome_of(rank, fails) for fails in (0, 1)]))
    # A wrapper that outlives its process group may keep a process from ending.
    gc.collect()
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def together(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, dict]]:
    """Return the results of ``world`` processes for every case; they are started once."""
    # Forked from a server that has imported the libraries: once, not in every process.
    multiprocessing.set_forkserver_preload(
        ['symmim_mm', 'mmpretrain.models', 'symmim_mm.models.symmim']
    )

    @functools.cache
    def run(world: int) -> dict[str, dict]:
        folder = tmp_path_factory.mktemp(f'world{world}')
        mp.start_processes(worker, (world, str(folder)), world, start_method='forkserver')
        found = torch.load(folder / 'result.pth', weights_only=True)
        return found | dict(outcomes=[path.read_text() for path in folder.glob('outcomes*')])

    return run


def assert_equal(found: dict, model: nn.Module, history: list[dict[str, Tensor]]) -> None:
    # The contrastive loss and the normalized pixels are computed in float32, hence the tolerance.
    for one, many in zip(history, found['history'], strict=True):
        assert one.keys() == many.keys()
        for key, value in one.items():
            torch.testing.assert_close(many[key], value, rtol=1e-6, atol=1e-7)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(found['state'][key], value, rtol=1e-5, atol=1e-6)


def distance_moved(name: str, model: nn.Module) -> float:
    """Return how far training moved the weights; a comparison of unmoved ones shows nothing."""
    start = build(name)[0].state_dict()
    return max(float((value - start[key]).abs().max()) for key, value in model.state_dict().items())


@pytest.mark.parametrize('world', [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize('name', CASES)
def test_ranks_give_the_losses_and_weights_of_one_process(
    name: str, world: int, together: Callable
) -> None:
    model, optim = build(name)
    history = train(name, model, model, optim, [0], 1)
    assert distance_moved(name, model) > 1e-3
    assert_equal(together(world)[name], model, history)
    if name == 'symmim':  # as many negatives, too
        assert {float(losses['negatives']) for losses in history} == {BATCH - 1}


@pytest.mark.parametrize('name', PLAIN)
def test_accumulated_micro_batches_equal_two_processes(name: str, together: Callable) -> None:
    model, optim = build(name, accumulation=2)
    history = train(name, model, model, optim, [0, 1], 2)
    assert distance_moved(name, model) > 1e-3
    assert_equal(together(2)[name], model, history)


def test_all_ranks_share_the_outcome_of_rank_0(together: Callable) -> None:
    assert together(2)['outcomes'] == [repr(["{'rank': 0}", "UserError('refused')"])] * 2


def test_negatives_come_from_the_batch_of_all_processes() -> None:
    """Without a memory, micro-batches of one process do not see each other's images."""
    model, optim = build('symmim')
    whole = train('symmim', model, model, optim, [0], 1)[0]
    model, optim = build('symmim', accumulation=2)
    parts = train('symmim', model, model, optim, [0, 1], 2)[0]
    torch.testing.assert_close(parts['loss_mim'], whole['loss_mim'], rtol=1e-6, atol=1e-7)
    assert abs(float(parts['loss_con'] - whole['loss_con'])) > 0.05


def test_a_group_of_tests_stays_in_one_process(request: pytest.FixtureRequest) -> None:
    """With another pytest, pytest-xdist finds no groups, and every process starts the fixtures."""
    if not request.config.getoption('loadgroup', False):
        pytest.skip('run without --dist loadgroup')
    assert request.node.nodeid.endswith('@together')
