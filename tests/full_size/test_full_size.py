"""One true optimizer step of every full-size ViT-B config on the CPU, and ViT-L there and back.

SymMIM's ViT-L has gradients of true values; the other configs of it run on fake tensors.

The configs are the unmodified ones; what changes are options that a user has: where the data lie,
the batch and the loader's workers. The learning rate is the recipe's peak, from the first step on,
so that every parameter moves by an amount that float32 can show.
"""

import ctypes
import gc
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from full_layouts import data_options, write_for
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from paths import CONFIGS, ROOT
from read_config import read_config
from torch import Tensor

from symmim_mm.apis.train import configure
from symmim_mm.config.recipe import recipe_of
from symmim_mm.engine.launch import launched_runner
from symmim_mm.planning.costs import TrainingStep
from symmim_mm.planning.fake_model import build_without_storage, make_runnable

# One after the other: each takes up to 10 GB.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group('memory')]

# Parameters that are not to learn, by the beginnings of their names.
FROZEN = {
    'symmim': ('backbone.pos_embed', 'momentum.'),
    'mae': ('backbone.pos_embed', 'neck.decoder_pos_embed'),
    'simmim': ('backbone.pos_embed',),
    'linear': ('backbone.',),
}


class Stop(Exception):
    """Ends the run after its first step."""


class Probe(Hook):
    """Watches the first optimizer step and stops the run after it, or before it.

    Args:
        step: whether the step is to be done; else the gradients are all there is.
    """

    priority = 'LOWEST'  # after every hook of the recipe

    def __init__(self, step: bool) -> None:
        self.step = step
        self.shapes: list[tuple[int, ...]] = []
        self.without_gradient: set[str] = set()
        self.unused: set[str] = set()
        self.before: dict[str, Tensor] = {}
        self.expected: dict[str, Tensor] = {}
        self.bounds: dict[str, float] = {}
        self.losses: dict[str, float] = {}

    def before_train(self, runner: Runner) -> None:
        runner.model.backbone.patch_embed.register_forward_pre_hook(
            lambda module, inputs: self.shapes.append(tuple(inputs[0].shape))
        )
        self.names = {id(param): name for name, param in runner.model.named_parameters()}
        if self.step:
            self.before = {k: v.detach().clone() for k, v in runner.model.named_parameters()}
        runner.optim_wrapper.optimizer.register_step_pre_hook(self.before_step)

    def before_step(self, optimizer: torch.optim.Optimizer, *_) -> None:
        for group in optimizer.param_groups:
            for param in group['params']:
                name = self.names[id(param)]
                if param.grad is None:
                    if param.requires_grad:
                        self.unused.add(name)
                    continue
                assert param.grad.isfinite().all(), f'gradient of {name}'
                if not param.grad.any():
                    self.without_gradient.add(name)
                if not self.step:
                    continue
                old = param.detach()
                self.expected[name] = old
                if isinstance(optimizer, torch.optim.AdamW):
                    self.expected[name] = first_adamw_step(old, param.grad, group)
                    largest = old.abs().max().item()
                    self.bounds[name] = group['lr'] * (1 + group['weight_decay'] * largest)
        if not self.step:
            raise Stop

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None):
        self.losses = {key: value.item() for key, value in outputs.items() if 'loss' in key}
        raise Stop


def first_adamw_step(param: Tensor, grad: Tensor, group: dict) -> Tensor:
    """Where AdamW's first step takes a parameter (Loshchilov and Hutter, arXiv 1711.05101).

    Both moments start at 0 and are corrected for that, so the first step is the gradient over its
    own absolute value: every element moves by the learning rate, the decay aside.
    """
    direction = grad / (grad.abs() + group['eps'])
    return param * (1 - group['lr'] * group['weight_decay']) - group['lr'] * direction


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('full')


@pytest.fixture(autouse=True)
def release() -> Iterator[None]:
    """Give the memory of a model back before the next one, also what trainings let malloc keep."""
    yield
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), 'malloc_trim', None):  # of glibc
        trim(0)


def run(name: str, batch: int, step: bool, data: Path, tmp_path: Path, **options) -> tuple:
    """Train a full-size config up to its first optimizer step.

    Returns:
        The probe, and the model's parameters by name.
    """
    folder = {'detection': 'coco', 'segmentation': 'ade20k'}.get(name.split('/')[0], 'imagenet')
    root = write_for(name, data / folder)
    published = recipe_of(Config.fromfile(ROOT / 'configs' / f'{name}.py'))
    small = {
        'recipe.batch': batch,
        'recipe.lr': published.scaled_lr,
        'recipe.lr_batch': batch,
        'recipe.warmup_epochs': 0,
        'recipe.warmup_iterations': 0,
    }
    options = {**data_options(name, root), **small, **options}
    cfg = configure(CONFIGS / f'{name}.py', work_dir=tmp_path, cfg_options=options)
    probe = Probe(step)
    with launched_runner(cfg, 'none') as runner:
        runner.register_hook(probe)
        with pytest.raises(Stop):
            runner.train()
        return probe, dict(runner.model.named_parameters())


def branches_dropped(names: set[str], parameters: dict[str, Tensor]) -> set[str]:
    """Of the names, those of residual branches that stochastic depth may have dropped as a whole.

    With one image a branch is left out for the whole batch now and then; never in block 0, whose
    rate is 0.
    """
    found: set[str] = set()
    for i in range(1, 12):
        for branch in (('ln1.', 'attn.'), ('ln2.', 'ffn.')):
            parts = tuple(f'backbone.layers.{i}.{part}' for part in branch)
            whole = {name for name in parameters if name.startswith(parts)}
            found |= whole if whole <= names else set()
    return found


# Options of configs that would take minutes: a quarter of the side, on which the sizes of position
# embeddings alone depend, or the smallest of the recipe's sizes; the dry runs behind
# docs/recipes.md go through the whole side.
OPTIONS = {
    'segmentation/upernet_vit_b_160k_ade20k': {
        'train_dataloader.dataset.pipeline.3.crop_size': (128, 128),
        'model.data_preprocessor.size': (128, 128),
        'model.backbone.img_size': 128,
    },
    'detection/mask-rcnn_vit_b_1x_coco': {
        'train_dataloader.dataset.pipeline.2.scales': [(1333, 480)],
    },
    'detection/mask-rcnn_vitdet_b_100ep_coco': {
        'train_dataloader.dataset.pipeline.3.scale': (256, 256),
        'train_dataloader.dataset.pipeline.4.crop_size': (256, 256),
        'model.data_preprocessor.pad_size_divisor': 256,
        'activation_checkpointing': True,
    },
}
# Config -> batch, and the sides that its images may have in the model.
STEPS = {
    'symmim/vit_b_pretrain': (4, {224}),
    'symmim/vit_b_literal_pretrain': (4, {224}),
    'mae/vit_b_pretrain': (2, {224}),
    'simmim/vit_b_pretrain': (2, {224}),
    'classification/vit_b_finetune_imagenet': (2, {224}),
    'classification/vit_b_scratch_imagenet': (2, {224}),
    'classification/vit_b_linear_imagenet': (2, {224}),
    'segmentation/upernet_vit_b_160k_ade20k': (2, {128}),
    'segmentation/linear_vit_b_ade20k': (2, {512}),
    'detection/mask-rcnn_vit_b_1x_coco': (1, {480, 640}),
    'detection/mask-rcnn_vitdet_b_100ep_coco': (1, {256}),
}


@pytest.mark.parametrize('name', STEPS)
def test_one_optimizer_step_of_vit_b(name: str, data: Path, tmp_path: Path) -> None:
    batch, sides = STEPS[name]
    probe, parameters = run(name, batch, True, data, tmp_path, **OPTIONS.get(name, {}))
    assert probe.losses and all(math.isfinite(value) for value in probe.losses.values())
    assert probe.shapes and all(shape[:2] == (batch, 3) for shape in probe.shapes)
    assert {side for shape in probe.shapes for side in shape[2:]} <= sides

    # Nothing is frozen or unused that should learn: DDP would stop at the latter.
    kind = 'linear' if 'linear_' in name else name.split('/')[0]
    frozen = {k for k in parameters if k.startswith(FROZEN.get(kind, ()) or '\0')}
    assert not probe.unused
    dropped = branches_dropped(probe.without_gradient, parameters)
    assert probe.without_gradient == dropped
    assert {k for k, v in parameters.items() if not v.requires_grad} == frozen
    assert probe.expected.keys() == parameters.keys() - frozen

    moved = {k for k, v in parameters.items() if not torch.equal(v.detach(), probe.before[k])}
    followers = {f'momentum.{k.removeprefix("contrast_head.")}' for k in probe.expected}
    assert moved | dropped == probe.expected.keys() | (followers & frozen)

    for key, bound in probe.bounds.items():
        old, new = probe.before[key], parameters[key].detach()
        # Of the parameter itself: half of its last place, in each of two sums.
        rounding = 2**-23 * old.abs().max().item()
        assert (new - old).abs().max().item() <= bound * (1 + 1e-5) + rounding, key
        torch.testing.assert_close(
            new, probe.expected[key], rtol=3e-7, atol=1e-5 * bound,
            msg=lambda text, key=key: f'{key}: {text}',
        )  # fmt: skip


def test_forward_and_backward_of_vit_l(data: Path, tmp_path: Path) -> None:
    probe, _ = run('symmim/vit_l_pretrain', 2, False, data, tmp_path)
    assert set(probe.shapes) == {(2, 3, 224, 224)}
    assert not probe.unused and not probe.without_gradient


@pytest.mark.parametrize(
    ('name', 'side'),
    [
        ('mae/vit_l_pretrain', 224),
        ('simmim/vit_l_pretrain', 224),
        ('classification/vit_l_finetune_imagenet', 224),
        ('classification/vit_l_scratch_imagenet', 224),
        ('segmentation/upernet_vit_l_160k_ade20k', 512),
        ('detection/mask-rcnn_vitdet_l_100ep_coco', 1024),
    ],
)
def test_gradients_of_vit_l_reach_every_parameter(name: str, side: int) -> None:
    cfg = read_config(f'{name}.py')
    model = build_without_storage(cfg)
    step = TrainingStep(model, cfg)
    assert step.size == (side, side)
    with make_runnable(model):
        step(step.make_batch(2)).backward()
    unused = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert not unused and len(list(model.backbone.layers)) == 24
