"""The step's benchmark, small: the cases do the same work, and times are put together rightly."""

import json
import math
from argparse import Namespace
from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from paths import ROOT
from torch import nn

from benchmarks import step, step_cases, step_trainer
from benchmarks.common import problem_of
from benchmarks.step_cases import STOCK_CONFIGS, StockSymMIM, config_of, identity, make_trainer
from benchmarks.step_profile import kind_of
from benchmarks.step_tables import PLAIN, STOCK, tables, update_share
from benchmarks.step_trainer import Variant, bytes_per_image, shares_of
from symmim_mm.engine.hooks.model_hooks import compile_model
from symmim_mm.models.backbones.activation_checkpointing import checkpoint_blocks

CPU = torch.device('cpu')


@pytest.mark.parametrize('size', ['s', 'b', 'l'])
def test_cases_are_the_configs_that_train(size: str) -> None:
    for method in ('mae', 'simmim', 'symmim'):
        cfg = Config.fromfile(ROOT / f'configs/{method}/vit_{size}_pretrain.py')
        found = config_of(size, method).model
        if method == 'symmim':
            assert found.contrast.pop('memory') == 0
        assert found.to_dict() == cfg.model.to_dict()
    dense = config_of(size, 'symmim-dense')
    assert dense.model.backbone.arch == config_of(size, 'symmim').model.backbone.arch
    assert identity(dense)['encoding'] == 'dense' and identity(dense)['decoder'] is None
    if size == 'b':
        cfg = Config.fromfile(ROOT / 'configs/symmim/vit_b_literal_pretrain.py')
        dense.model.contrast.pop('memory')
        assert dense.model.to_dict() == cfg.model.to_dict()
        assert identity(dense) == identity(cfg)


@pytest.mark.parametrize(('size', 'name'), [('b', 'base'), ('l', 'large')])
def test_our_mae_has_the_weights_of_mmpretrains(size: str, name: str, mmpretrain_scope) -> None:
    length = dict(base=300, large=400)[name]
    path = f'mae/mae_vit-{name}-p16_8xb512-amp-coslr-{length}e_in1k.py'
    theirs = Config.fromfile(STOCK_CONFIGS / path).model
    shapes = []
    for settings in (config_of(size, 'mae').model, theirs):
        with torch.device('meta'):
            model = MODELS.build(settings)
        shapes.append({key: value.shape for key, value in model.named_parameters()})
    assert shapes[0] == shapes[1] and len(shapes[0]) > 200


def test_stock_symmim_computes_our_losses() -> None:
    """With the weights of ours, the model of stock parts gives the same two numbers."""
    cfg = config_of('quickstart', 'symmim-dense')
    for name in ('online_mask', 'momentum_mask'):
        cfg.model[name].parity = 'fixed'
    ours = step_cases.trainer_of(cfg, CPU).model
    stock = make_trainer('quickstart', 'symmim-stock', CPU).model
    copy_weights(ours, stock)
    views = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    samples = step_cases.batch_of(4, 64, CPU)['data_samples']
    for sample, small, large in zip(samples, *ours.draw_masks(4, CPU), strict=True):
        sample.set_field(small, 'mask')
        sample.set_field(large, 'momentum_mask')
    expected, found = ours.loss(views), stock.loss(views, samples)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)


def copy_weights(ours: nn.Module, stock: StockSymMIM) -> None:
    missing, unexpected = stock.backbone.load_state_dict(ours.backbone.state_dict(), strict=False)
    assert not missing and not unexpected
    side, width = ours.head.patch_size, ours.backbone.embed_dims
    # Ours orders a patch as (row, column, color), the pixel shuffle as (color, row, column).
    weight, bias = (
        value.unflatten(0, (side, side, 3)).movedim(2, 0).flatten(0, 2)
        for value in (ours.head.predict.weight.data, ours.head.predict.bias.data)
    )
    stock.decoder.decoder[0].weight.data = weight.reshape(-1, width, 1, 1)
    stock.decoder.decoder[0].bias.data = bias
    head = ours.contrast_head
    for mine, theirs in (
        (head.projector, stock.projector),
        (head.predictor, stock.contrast.predictor),
    ):
        for kinds in (nn.Linear, nn.BatchNorm1d):
            pairs = zip(
                [layer for layer in mine if isinstance(layer, kinds)],
                [layer for layer in theirs.modules() if isinstance(layer, kinds)],
                strict=True,
            )
            for source, target in pairs:
                target.load_state_dict(source.state_dict())


@pytest.mark.parametrize('method', PLAIN)
def test_every_method_trains(method: str) -> None:
    trainer = make_trainer('quickstart', method, CPU)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    assert trainer.train(2, steps=3) == 6
    phases = trainer.take_phases()
    assert trainer.take_phases() == {}
    parts = {'step', 'backward', 'optimizer'} | ({'ema'} if 'symmim' in method else set())
    assert {name: len(seconds) for name, seconds in phases.items()} == dict.fromkeys(parts, 3)
    changed = {
        name for name, value in trainer.model.named_parameters() if not value.equal(before[name])
    }
    assert {name.split('.')[0] for name in changed} >= (
        {'backbone', 'momentum_encoder' if method in STOCK else 'momentum'}
        if 'symmim' in method
        else {'backbone'}
    )
    shares = shares_of(phases)
    assert math.isclose(sum(shares.values()), 1) and min(shares.values()) >= 0


def test_checkpointing_saves_memory_and_ends() -> None:
    trainer = make_trainer('quickstart', 'symmim', CPU)
    plain = bytes_per_image(trainer, 4)
    with Variant(trainer.model, checkpoint_blocks):
        saving = bytes_per_image(trainer, 4)
    assert plain[1] > 1.5 * saving[1] > 0
    assert bytes_per_image(trainer, 4) == plain
    parameters = sum(value.numel() for value in trainer.model.parameters())
    assert trainer.kept_bytes() > 4 * parameters


def test_compiled_blocks_are_those_of_one_case() -> None:
    trainer = make_trainer('quickstart', 'mae', CPU)
    programs = []
    backend = lambda graph, _: programs.append(graph) or graph.forward  # noqa: E731
    variant = Variant(trainer.model, partial(compile_model, backend=backend))
    trainer.train(2)
    assert not programs
    for _ in range(2):
        with variant:
            trainer.train(2)
        assert len(programs) == 2  # of the encoder's and of the decoder's blocks
    trainer.train(3)
    assert len(programs) == 2


def test_kinds_of_kernels() -> None:
    for name, kind in {
        'nvjet_sm90_tst_256x128_64x4_1x2_h_bz_coopA_bias_TNT': 'matrix products',
        'pytorch_flash::flash_fwd_kernel<cutlass::bfloat16_t>': 'attention',
        'multi_tensor_apply_kernel<FusedAdamMathFunctor>': 'optimizer and EMA',
        'vectorized_elementwise_kernel<8, bfloat16_copy_kernel_cuda>': 'copies and casts',
        'triton_poi_fused_gelu_view_8': 'compiled',
        'kernel of our own': 'other',
    }.items():
        assert kind_of(name) == kind


def test_bytes_per_image() -> None:
    class Line:
        def peak_bytes(self, images: int) -> int:
            return 100 + 7 * images

    for images in (2, 4, 9, 128):
        assert bytes_per_image(Line(), images) == (100, 7)


def test_share_of_optimizer_and_ema_at_the_recipes_batch() -> None:
    """A fifth of a step of 4 images is a hundredth and a bit of one of 64."""
    case = dict(shares=dict(optimizer=0.15, ema=0.05), batch=4, recipe_batch=64)
    assert math.isclose(update_share(case), 0.2 / (0.2 + 0.8 * 16))


def arguments(**changes) -> Namespace:
    given = dict.fromkeys(('batch', 'repeats', 'steps'), 2)
    given |= dict(sizes=['quickstart'], methods=['mae', 'simmim'], device='cpu', amp=False)
    given |= dict(peak=False, float32=False, profile=(), no_memory=True, minutes=math.inf)
    return Namespace(**given | changes)


def test_without_time_the_first_method_is_measured_once() -> None:
    result = step.run(arguments(minutes=0.0))
    assert list(result['sizes']['quickstart']) == ['mae'] and result['repeats'] == 1


def test_a_size_without_memory_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    make = step_cases.make_trainer

    def exhaust(size: str, *args: object) -> step_trainer.Trainer:
        if size == 's':
            raise torch.OutOfMemoryError
        return make(size, *args)

    monkeypatch.setattr(step_cases, 'make_trainer', exhaust)
    result = step.run(arguments(sizes=['s', 'quickstart'], methods=['mae']))
    assert list(result['sizes']) == ['quickstart'] and result['repeats'] == 2
    assert problem_of(result).startswith('ViT-S with 2 images does not fit')


def test_rate_of_matrix_products(monkeypatch) -> None:
    monkeypatch.setattr(step_trainer, 'SIDES', dict(cpu=(64, 256)))
    monkeypatch.setattr(step_trainer, 'SECONDS', 0.02)
    found = step_trainer.matrix_rate(CPU, torch.float32, repeats=3)
    assert found['side'] in (64, 256) and found['dtype'] == 'float32'
    # Between a tenth of a GFLOP/s and what no core does.
    assert 1e8 < found['rate']['low'] <= found['rate']['high'] < 1e14


@pytest.mark.slow
def test_command(tool, tmp_path) -> None:
    result = tmp_path / 'step.json'
    done = tool(
        'benchmark.py', 'step', '--sizes', 'quickstart', '--batch', '2', '--repeats', '2',
        '--device', 'cpu', '--methods', 'mae', 'mae-stock', 'simmim',
        'symmim-dense', 'symmim-dense-checkpointed', '--peak', '--json', result, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text())
    cases = found['sizes']['quickstart']
    assert list(cases) == [
        'mae',
        'mae-stock',
        'simmim',
        'symmim-dense',
        'symmim-dense-checkpointed',
    ]
    assert cases['simmim']['step_to_yardstick']['median'] == 1
    assert cases['mae-stock']['speed_to_stock']['median'] == 1
    assert (
        'speed_to_stock' not in cases['simmim'] and cases['symmim-dense']['speed_to_stock'] is None
    )
    assert (
        cases['symmim-dense-checkpointed']['memory']['each']
        < cases['symmim-dense']['memory']['each']
    )
    assert cases['mae']['operations'] == cases['mae-stock']['operations']
    assert found['matrix_rate']['rate']['median'] > 0 and found['clock'] == 'cpu_seconds'
    rate = cases['symmim-dense']['rate']['median'] * cases['symmim-dense']['operations']
    assert math.isclose(
        cases['symmim-dense']['utilisation'], rate / found['matrix_rate']['rate']['median']
    )
    assert list(tables(found)) == ['quickstart', 'parts quickstart', 'memory quickstart']
    assert '| SymMIM dense, checkpointed |' in done.stdout
    done = tool('benchmark.py', 'step', '--batch', '1', '--json', result)
    assert done.returncode == 2 and '--batch is too small' in done.stderr
