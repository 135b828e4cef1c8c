"""Mixed precision: on where it pays, off where it would harm, and never only by name."""

from pathlib import Path

import pytest
import torch
from full_layouts import data_options, write_for
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import MODELS, OPTIM_WRAPPERS, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmpretrain.models import VisionTransformer
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.utils import MultiheadAttention
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from paths import CONFIGS
from torch import Tensor, nn

from benchmarks.step_cases import make_trainer
from symmim_mm.apis.train import configure
from symmim_mm.engine.launch import launched_runner
from symmim_mm.engine.precision import half_encoder
from symmim_mm.models.contrast_head import info_nce
from symmim_mm.utils.errors import UserError

# Four blocks for twelve, two of MAE's decoder for eight: without matrix units a processor takes
# minutes for products in bf16.
ARCH = dict(embed_dims=384, num_layers=4, num_heads=6, feedforward_channels=1536)
TAPS = {'segmentation': (0, 1, 2, 3), 'detection': (3,)}
FULL = {
    'symmim/vit_s_pretrain': 224,
    'mae/vit_s_pretrain': 224,
    'simmim/vit_s_pretrain': 224,
    'classification/vit_s_finetune_imagenet': 224,
    'segmentation/upernet_vit_s_160k_ade20k': 64,
    'detection/mask-rcnn_vit_s_100ep_coco': 64,
}


def build(name: str) -> nn.Module:
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.model.backbone.arch = ARCH
    if taps := TAPS.get(name.split('/')[0]):
        cfg.model.backbone.out_indices = taps
    if name.startswith('mae'):
        cfg.model.neck.decoder_depth = 2
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    return model


def losses(model: nn.Module, name: str, side: int) -> dict[str, Tensor]:
    """Return the losses of a config's model for two random images, the same every time."""
    torch.manual_seed(1)
    images = torch.randn(2, 3, side, side)
    kind = name.split('/')[0]
    if kind == 'detection':  # mmcv's operators for regions know no bf16 on the CPU
        features = model.extract_feat(images)
        outputs = [out for level in model.rpn_head(features) for out in level]
        return dict(loss=sum(out.float().square().mean() for out in outputs))
    samples = None
    if kind == 'classification':
        samples = [DataSample().set_gt_label(label) for label in (3, 999)]
    if kind == 'segmentation':
        labels = torch.randint(0, 150, (2, 1, side, side))
        samples = [SegDataSample(gt_sem_seg=PixelData(data=part)) for part in labels]
    found = model.loss(images, samples)
    return {key: value for key, value in found.items() if 'loss' in key}


class Types:
    """Collects, of every transformer block, which types its parts work in."""

    def __init__(self, model: nn.Module) -> None:
        self.products: set[torch.dtype] = set()
        self.streams: set[torch.dtype] = set()
        self.norms: set[torch.dtype] = set()
        for block in model.modules():
            if not isinstance(block, TransformerEncoderLayer):
                continue
            block.register_forward_hook(lambda m, i, out: self.streams.add(out.dtype))
            for part in block.modules():
                if isinstance(part, nn.Linear):
                    part.register_forward_hook(lambda m, i, out: self.products.add(out.dtype))
                elif isinstance(part, nn.LayerNorm):
                    part.register_forward_hook(lambda m, i, out: self.norms.add(out.dtype))
                elif isinstance(part, MultiheadAttention):
                    attend = part.scaled_dot_product_attention
                    part.scaled_dot_product_attention = self.spy(attend)

    def spy(self, attend):
        def wrapped(query: Tensor, *args, **kwargs) -> Tensor:
            self.products.add(query.dtype)
            return attend(query, *args, **kwargs)

        return wrapped


@pytest.mark.slow
@pytest.mark.parametrize('name', FULL)
def test_blocks_multiply_in_bf16_and_the_rest_stays_exact(name: str) -> None:
    model, side = build(name), FULL[name]
    with torch.no_grad():
        exact = losses(model, name, side)
    types = Types(model)
    with torch.autocast('cpu', torch.bfloat16):
        found = losses(model, name, side)
    assert types.products == {torch.bfloat16}
    assert types.streams == types.norms == {torch.float32}
    assert found.keys() == exact.keys()
    for key, value in found.items():
        assert value.dtype == torch.float32, key
        torch.testing.assert_close(value, exact[key], rtol=0.05, atol=0.02)
    sum(found.values()).backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in model.parameters())


def test_the_contrastive_loss_is_the_same_in_mixed_precision() -> None:
    """Its logits are +-5 at T = 0.2; with the 8 bits of bf16 they would be off by up to 0.02."""
    query, key = torch.randn(64, 256), torch.randn(64, 256)
    expected = info_nce(query, key, 0.2)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(info_nce(query, key, 0.2), expected)


def test_the_pixel_loss_is_the_same_in_mixed_precision() -> None:
    from symmim_mm.models import PixelHead

    head = PixelHead(8, (2, 2), norm_pix=True)
    images, prediction = torch.randn(2, 3, 32, 32), torch.randn(2, 4, 768)
    mask = torch.tensor([[[True, False], [False, True]]]).expand(2, 2, 2)
    expected = head.loss(prediction, images, mask)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(head.loss(prediction, images, mask), expected)


def test_the_views_are_the_same_in_mixed_precision() -> None:
    """MMEngine makes the views inside the autocast of the step."""
    preprocessor = MODELS.build(
        dict(type='symmim_mm.ViewPreprocessor', views='distorted', mean=[124.0] * 3, std=[58.0] * 3)
    )
    data = dict(inputs=torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8))
    torch.manual_seed(2)
    expected = preprocessor(data, training=True)['inputs']
    torch.manual_seed(2)
    with torch.autocast('cpu', torch.bfloat16):
        found = preprocessor(data, training=True)['inputs']
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(*expected)


def test_no_config_names_a_precision_that_it_does_not_set() -> None:
    """The trap: ``fp16 = dict(...)`` next to ``type='OptimWrapper'`` does nothing.

    MMSegmentation's MAE config does so, under a name with "amp" in it.
    """
    paths = [path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts]
    assert len(paths) > 30
    for path in paths:
        cfg = Config.fromfile(path)
        assert 'amp' not in path.stem.split('-') and 'fp16' not in cfg, path
        assert cfg.optim_wrapper.type == 'OptimWrapper' and 'dtype' not in cfg.optim_wrapper, path
        assert not any('fp16' in (cfg.get(loop) or {}) for loop in ('val_cfg', 'test_cfg')), path


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('full')


def configured(name: str, data: Path, work_dir: Path) -> Config:
    """Return a full-size config with ``--amp`` and data in its own layout, two images a step."""
    folder = {'detection': 'coco', 'segmentation': 'ade20k'}.get(name.split('/')[0], 'imagenet')
    root = write_for(name, data / folder)
    options = {**data_options(name, root), 'recipe.batch': 2}
    return configure(CONFIGS / f'{name}.py', work_dir=work_dir, amp=True, cfg_options=options)


@pytest.mark.parametrize(('bf16', 'dtype'), [(True, 'bfloat16'), (False, 'float16')])
def test_the_flag_turns_it_on(
    bf16: bool, dtype: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether there is a GPU, and which, is the only thing that is faked."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, 'is_available', lambda: True)
        patch.setattr(torch.cuda, 'is_bf16_supported', lambda: bf16)
        wrapper = configured('mae/vit_s_pretrain', data, tmp_path).optim_wrapper
    assert issubclass(OPTIM_WRAPPERS.get(wrapper.type), AmpOptimWrapper)
    assert wrapper.dtype == dtype
    assert wrapper.get('loss_scale') == (dict(enabled=False) if bf16 else None)


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
def test_without_matrix_units_the_flag_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the processor has is the only thing that is faked."""
    monkeypatch.setattr(torch.cpu, 'get_capabilities', dict)
    with pytest.raises(UserError, match='processor with bf16 matrix units'):
        configured('mae/vit_s_pretrain', data, tmp_path)
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: dict(amx_bf16=True))
    wrapper = configured('mae/vit_s_pretrain', data, tmp_path).optim_wrapper
    assert wrapper.type == 'symmim_mm.CpuAmpOptimWrapper'


@pytest.mark.skipif(
    torch.cuda.is_available() or not torch.cpu.get_capabilities().get('amx_bf16'),
    reason='for a CPU with AMX alone',
)
@pytest.mark.parametrize('method', ['symmim', 'mae', 'simmim'])
def test_losses_on_a_cpu_are_float32s_to_bf16(method: str) -> None:
    """Products in bf16, weights and their gradients in float32."""
    found = []
    for amp in (False, True):
        torch.manual_seed(0)
        trainer = make_trainer('quickstart', method, torch.device('cpu'), amp=amp)
        types = Types(trainer.model)
        torch.manual_seed(1)
        with trainer.wrapper.optim_context(trainer.model):
            data = trainer.model.data_preprocessor(trainer.make_batch(8), True)
            losses = trainer.model(**data, mode='loss')
        total = trainer.model.parse_losses(losses)[0]
        total.backward()
        grads = [p.grad for p in trainer.model.parameters() if p.grad is not None]
        assert {grad.dtype for grad in grads} == {torch.float32}
        assert types.products == ({torch.bfloat16} if amp else {torch.float32})
        found.append((total.item(), torch.nn.utils.get_total_norm(grads).item()))
    assert found[0][0] == pytest.approx(found[1][0], rel=0.01)
    assert found[0][1] == pytest.approx(found[1][1], rel=0.1)


class Stop(Exception):
    """Ends a run after its first step."""


class StopHook(Hook):
    priority = 'LOWEST'

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None):
        self.losses = {key: value for key, value in outputs.items() if 'loss' in key}
        raise Stop


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('name', FULL)
def test_a_step_on_a_gpu(name: str, data: Path, tmp_path: Path) -> None:
    """The recipes at full size with ``--amp``, their own data pipelines, one step."""
    cfg = configured(name, data, tmp_path)
    stop = StopHook()
    with launched_runner(cfg, 'none') as runner:
        runner.register_hook(stop)
        types = Types(runner.model)
        with pytest.raises(Stop):
            runner.train()
        assert isinstance(runner.optim_wrapper, AmpOptimWrapper)
        assert runner.optim_wrapper.cast_dtype == torch.bfloat16
        assert next(runner.model.parameters()).dtype == torch.float32
    assert types.products == {torch.bfloat16}
    assert types.streams == types.norms == {torch.float32}
    assert stop.losses and all(value.isfinite() for value in stop.losses.values())


@torch.no_grad()
def test_a_frozen_encoder_of_weights_cast_once() -> None:
    """The same bits as from autocast, which casts them for every batch."""
    model = VisionTransformer('deit-tiny', img_size=32, patch_size=8, out_type='raw')
    model.eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.autocast('cpu', torch.bfloat16):
        expected = model(images)[-1]
    assert torch.equal(half_encoder(model)(images)[-1], expected)
    assert model.layers[0].ffn.layers[1].weight.dtype == torch.bfloat16
    assert model.pos_embed.dtype == model.ln1.weight.dtype == torch.float32
