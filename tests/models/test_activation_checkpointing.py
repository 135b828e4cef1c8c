"""Activation checkpointing in models of all three libraries: the same gradients, less memory."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from paths import CONFIGS
from tiny_models import TINY, tiny_config
from torch import Tensor, nn

from symmim_mm.apis.train import train
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.models.backbones.activation_checkpointing import (
    checkpoint_blocks,
    pop_activation_checkpointing,
)
from symmim_mm.utils.errors import UserError

LAYERS = 4
METHODS = {
    'symmim': dict(method='symmim'),
    'symmim_sparse': dict(method='symmim', encoding='sparse', decoder_depth=2),
    'simmim': dict(method='simmim'),
    'mae': dict(method='mae', decoder_depth=2),
}


def self_supervised(kind: str) -> tuple[dict, Callable[[nn.Module], Tensor]]:
    images = torch.randn(4, 3, 32, 32)
    config = tiny_config(**METHODS[kind], layers=LAYERS, drop_path_rate=0.3)
    return config, lambda model: sum(model.loss(images, None).values())


def transfer(kind: str) -> tuple[dict, Callable[[nn.Module], Tensor]]:
    arch = dict(TINY, num_layers=LAYERS)
    vit = dict(arch=arch, img_size=32, patch_size=8, drop_path_rate=0.3)
    vit.update(out_type='featmap', out_indices=[0, 3])
    cfg = dict(type='mmpretrain.VisionTransformer', **vit)
    if kind == 'windowed':
        cfg.update(type='symmim_mm.WindowedViT', window_size=3, global_blocks=(1, 3))
    images = torch.randn(4, 3, 40, 32)
    return cfg, lambda model: sum(out.square().mean() for out in model(images))


BLOCKS = {
    # Of the momentum branch too, which takes no gradient.
    'symmim': 8, 'symmim_sparse': 10, 'simmim': 4, 'mae': 6, 'stock': 4, 'windowed': 4,
}  # fmt: skip


def make(kind: str) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    cfg, loss = (transfer if kind in ('stock', 'windowed') else self_supervised)(kind)
    model = MODELS.build(cfg)
    model.init_weights()
    model.train()
    return model, loss


def gradients(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> tuple[dict, Tensor]:
    """Return all gradients of a step from a fixed random state, and the random number after it."""
    torch.manual_seed(1)
    loss(model).backward()
    return {name: param.grad for name, param in model.named_parameters()}, torch.rand(1)


@pytest.mark.parametrize('kind', BLOCKS)
def test_gradients_and_random_state_are_the_same_to_the_bit(kind: str) -> None:
    plain, loss = make(kind)
    ours = copy.deepcopy(plain)
    assert checkpoint_blocks(ours) == BLOCKS[kind]
    expected, expected_random = gradients(plain, loss)
    found, random = gradients(ours, loss)
    assert found.keys() == expected.keys()
    assert sum(value is not None for value in expected.values()) > 40
    for name, value in expected.items():
        assert (found[name] is None) == (value is None), name
        assert value is None or torch.equal(found[name], value), name
    assert torch.equal(random, expected_random)
    assert ours.state_dict().keys() == plain.state_dict().keys()


def kept_bytes(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> int:
    """Return the memory of the graph between forward and backward pass, weights aside."""
    weights = {param.untyped_storage().data_ptr() for param in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        total = loss(model)
    assert total.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize('kind', ['simmim', 'mae', 'stock', 'windowed'])
def test_less_is_kept_for_the_backward_pass(kind: str) -> None:
    model, loss = make(kind)
    before = kept_bytes(model, loss)
    checkpoint_blocks(model)
    assert kept_bytes(model, loss) < 0.5 * before


def test_copies_are_independent_and_a_second_call_changes_nothing() -> None:
    model, loss = make('windowed')
    expected, _ = gradients(copy.deepcopy(model), loss)
    checkpoint_blocks(model)
    checkpoint_blocks(model)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    found, _ = gradients(twin, loss)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_a_block_compiles_to_one_graph() -> None:
    block = nn.Sequential(TransformerEncoderLayer(32, 4, 64))  # as in a model: not outermost
    expected, x = copy.deepcopy(block), torch.randn(2, 5, 32)
    checkpoint_blocks(block)
    compiled = torch.compile(block, backend='aot_eager', fullgraph=True)
    compiled(x).square().sum().backward()
    expected(x).square().sum().backward()
    for ours, theirs in zip(block.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(UserError, match='no transformer block in Linear'):
        checkpoint_blocks(nn.Linear(2, 2))


def test_the_option_is_true_or_false() -> None:
    for value in (True, False):
        cfg = Config(dict(activation_checkpointing=value))
        assert pop_activation_checkpointing(cfg) is value
        assert 'activation_checkpointing' not in cfg
    assert pop_activation_checkpointing(Config({})) is False
    with pytest.raises(UserError, match=r"got \['backbone.layers.0'\]"):
        pop_activation_checkpointing(Config(dict(activation_checkpointing=['backbone.layers.0'])))


@pytest.mark.slow
@pytest.mark.parametrize('name', ['symmim_pretrain', 'finetune'])
def test_the_option_trains_to_the_same_weights(
    name: str, tmp_path: Path, sample_data: Path
) -> None:
    """``--cfg-options activation_checkpointing=True`` in the real path, stochastic depth on."""
    states = []
    for switch in (False, True):
        options = {
            'train_dataloader.dataset.data_root': str(sample_data / 'imagenet'),
            'model.backbone.drop_path_rate': 0.2,
            'recipe.epochs': 1,
            'recipe.warmup_epochs': 0,
            'recipe.batch': 8,
            'activation_checkpointing': switch,
            # MMEngine names a run by its second; two of one name share their log.
            'experiment_name': str(switch),
        }
        if name == 'finetune':
            options['val_dataloader.dataset.data_root'] = str(sample_data / 'imagenet')
        else:
            root = str(sample_data / 'imagenet')
            options['default_hooks.images.dataset.data_root'] = root
        work_dir = tmp_path / str(switch)
        train(CONFIGS / f'quickstart/{name}.py', work_dir=work_dir, cfg_options=options)
        states.append(read_checkpoint(work_dir / 'epoch_1.pth')['state_dict'])
        log = next(work_dir.rglob('*.log')).read_text()
        assert ('blocks are recomputed' in log) == switch
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        assert torch.equal(states[1][key], value), key
