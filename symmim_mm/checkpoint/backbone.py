"""Loading of a pre-trained backbone, with a report of every tensor."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from symmim_mm.checkpoint import key_map
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.checkpoint.saved_config import saved_grid
from symmim_mm.checkpoint.weights import check_weights
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.paths import file_inside
from symmim_mm.utils.text import listed, visible

PREFIX = 'backbone.'
# Which of the two encoders of a SymMIM checkpoint; every other file has an online one only.
BRANCHES = {'online': PREFIX, 'momentum': f'momentum.{PREFIX}'}
PATCH_EMBED = 'patch_embed.projection.weight'
OWN_MARKER = f'{PREFIX}{PATCH_EMBED}'
# Where a checkpoint keeps its weights: MMEngine and MoCo v3; MAE and SimMIM; DINO and iBOT.
CONTAINERS = ('state_dict', 'model', 'teacher')

# What may differ between a pre-trained encoder and the backbone of a transfer: the norm after
# average pooling and ViTDet's relative positions are new, the mask token is not needed or is that
# of a SimMIM training to be continued, and some tasks use neither final norm nor class token.
MAY_BE_MISSING = re.compile(r'ln2\.|mask_token|layers\.\d+\.attn\.rel_pos_[hw]$')
MAY_BE_UNEXPECTED = ('mask_token', 'ln1.', 'ln2.', 'cls_token')
NAMES_SHOWN = 8


@dataclass
class LoadReport:
    """Report of what was loaded into a backbone, by MMPretrain's names.

    ``dialect`` is the library whose names the file ``source`` has, ``''`` for MMPretrain's.
    ``missing`` are tensors that only the backbone has, ``unexpected`` those that only the file has.
    """

    source: str
    dialect: str = ''
    loaded: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    remark: str = ''  # what else differs from the model of the file

    def __str__(self) -> str:
        def names(keys: list[str]) -> str:
            return f' ({listed(keys, NAMES_SHOWN)})' if keys else ''

        dialect = f' (names of {self.dialect})' if self.dialect else ''
        return (
            f'backbone from {visible(self.source)}{dialect}: {len(self.loaded)} tensors loaded, '
            f'{len(self.resized)} of them resized{names(self.resized)}, '
            f'{len(self.missing)} missing and left as initialized{names(self.missing)}, '
            f'{len(self.unexpected)} unexpected and not used{names(self.unexpected)}'
            f'{self.remark}'
        )


def backbone_state(
    checkpoint: dict, source: str = 'the checkpoint', branch: str = 'online'
) -> tuple[str, dict[str, Tensor]]:
    """Return the dialect of a checkpoint and its encoder's tensors.

    Args:
        checkpoint: saved by MMEngine or another library of ``symmim_mm.checkpoint.key_map``; the
            weights are bare or under ``state_dict``, ``model`` or ``teacher``.
        source: the file, as it begins a message.
        branch: one of ``BRANCHES``.

    Returns:
        The library whose names the file has, ``''`` for MMPretrain's; the tensors by MMPretrain's
        names, without ``backbone.``.

    Raises:
        UserError: there is none, or one that :func:`check_weights` refuses; an unknown branch.
    """
    if branch not in BRANCHES:
        raise UserError(f'branch must be one of {", ".join(BRANCHES)}, got {branch}')
    state = tensors_of(checkpoint)
    prefix = BRANCHES[branch]
    if branch == 'online' and OWN_MARKER not in state and (known := key_map.recognize(state)):
        dialect, wrapper = known
        check_weights(key_map.encoder_part(state, dialect, wrapper), source)
        return dialect, key_map.from_dialect(state, dialect, wrapper, source)
    found = {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }
    if not found and branch != 'online':
        raise UserError(
            f"{source} has no '{prefix}' entries: only SymMIM with a contrastive loss has a "
            'momentum encoder; take --branch online'
        )
    if not found:
        whole = _container(checkpoint)
        heads = sorted({key.split('.')[0] for key in whole if isinstance(key, str)})
        raise UserError(
            f"{source} has no '{PREFIX}' entries "
            f'(it starts with {listed(heads, NAMES_SHOWN) or "nothing"}): '
            "take the checkpoint of a pre-training, as MMEngine saved it, or one with timm's or "
            "HuggingFace's names"
        )
    check_weights(found, source)
    return '', found


def _container(checkpoint: dict) -> dict:
    containers = (checkpoint.get(name) for name in CONTAINERS)
    return next((state for state in containers if isinstance(state, dict)), checkpoint)


def tensors_of(checkpoint: dict) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, bare or in one of ``CONTAINERS``."""
    whole = _container(checkpoint).items()
    return {k: v for k, v in whole if isinstance(k, str) and isinstance(v, Tensor)}


def load_backbone(backbone: nn.Module, path: str | Path, branch: str = 'online') -> LoadReport:
    """Load a pre-trained encoder into the plain ViT of a transfer.

    The position embedding is resized to the backbone's grid (bicubic, class token apart), and the
    patch embedding of three channels adapted to another number of channels.

    Args:
        backbone: an ``mmpretrain.VisionTransformer`` or a subclass, changed only if nothing is
            wrong.
        path: a checkpoint as MMEngine saved it, of any of the pre-trainings, or one with the
            names of timm (as MAE's) or HuggingFace, see :func:`backbone_state`.
        branch: ``'online'``, or ``'momentum'`` for the momentum encoder of SymMIM.

    Raises:
        UserError: an unreadable file, no sound weights, another kind or size of model, or keys
            missing or unexpected outside ``MAY_BE_MISSING`` and ``MAY_BE_UNEXPECTED``.
    """
    checkpoint = read_checkpoint(path)
    if not isinstance(backbone, VisionTransformer):
        raise UserError(
            f'checkpoint {path} goes into the backbone of a model, a VisionTransformer of '
            f'MMPretrain or a subclass, not into a {type(backbone).__name__}'
        )
    dialect, state = backbone_state(checkpoint, f'checkpoint {path}', branch)
    report = LoadReport(str(path), dialect)
    target = backbone.state_dict()
    adapted: dict[str, Tensor] = {}
    wrong: list[str] = []
    for key, value in state.items():
        if key not in target:
            report.unexpected.append(key)
            continue
        if key == 'pos_embed':
            grid = tuple(backbone.patch_embed.init_out_size)
            resized = resize_positions(value, grid, str(path), saved_grid(checkpoint))
            resized = resized if backbone.cls_token is not None else resized[:, 1:]
            if resized.shape != value.shape:
                report.resized.append(f'pos_embed {value.shape[1]} -> {resized.shape[1]} positions')
            value = resized
        if key == PATCH_EMBED and value.shape[1:2] == (3,) and target[key].shape[1] != 3:
            value = adapt_patch_embed(value, target[key].shape[1])
            report.resized.append(f'{key} 3 -> {value.shape[1]} channels')
        if value.shape != target[key].shape:
            wrong.append(f'{key} {tuple(value.shape)} instead of {tuple(target[key].shape)}')
        adapted[key] = value
        report.loaded.append(key)
    report.missing = [key for key in target if key not in state]

    wrong += [f'{key} missing' for key in report.missing if not MAY_BE_MISSING.match(key)]
    unexpected = [key for key in report.unexpected if not key.startswith(MAY_BE_UNEXPECTED)]
    wrong += [f'{key} unexpected' for key in unexpected]
    if wrong:
        raise UserError(
            f'checkpoint {path} does not fit the backbone of this config, {backbone.embed_dims} '
            f'wide with {backbone.num_layers} layers: {listed(wrong, 4)}; take the config of its '
            'size'
        )
    backbone.load_state_dict(adapted, strict=False)
    report.remark = _other_epsilon(Path(path), backbone)
    return report


def adapt_patch_embed(weight: Tensor, channels: int) -> Tensor:
    """Return the patch embedding for images of other channels, as timm's ``adapt_input_conv``.

    For gray images it is summed over its three channels; for others it is repeated along them, and
    scaled so that images whose channels are all alike give what they gave.

    Args:
        weight: ``(width, 3, patch, patch)``.
        channels: wanted.

    Returns:
        ``(width, channels, patch, patch)``.
    """
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, math.ceil(channels / 3), 1, 1)[:, :channels]
    return repeated * (3 / channels)


def _other_epsilon(path: Path, backbone: nn.Module) -> str:
    """Name the epsilon in the ``config.json`` next to HuggingFace's weights, if it is another."""
    try:
        config = json.loads(file_inside(path.parent, 'config.json', 1 << 20).read_text())
        theirs, ours = float(config['layer_norm_eps']), backbone.layers[0].ln1.eps
    except (UserError, OSError, ValueError, TypeError, KeyError, RecursionError, AttributeError):
        return ''  # no such file: the weights of another library
    if theirs == ours:
        return ''
    return f'; its layer_norm_eps is {theirs:g}, that of this model {ours:g}'


def resize_positions(
    value: Tensor, grid: tuple[int, int], source: str, stated: tuple[int, int] | None = None
) -> Tensor:
    """Resize a position embedding ``(1, 1 + n, C)`` to another grid.

    Its own is the one ``stated``, else a square one, else that of as many patches.

    Raises:
        UserError: it is that of none of these.
    """
    whole = value.ndim == 3 and value.shape[0] == 1
    patches = value.shape[1] - 1 if whole else 0
    side = round(max(patches, 0) ** 0.5)
    start = stated or ((side, side) if side * side == patches else grid)
    if not side or math.prod(start) != patches:
        raise UserError(
            f'checkpoint {source}: pos_embed of shape {tuple(value.shape)} is not that of a class '
            'token and a square grid'
        )
    return resize_pos_embed(value, start, grid, 'bicubic', num_extra_tokens=1)
