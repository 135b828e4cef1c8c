"""Layer-wise learning rate decay for all three libraries, with equal parameter groups merged."""

from collections.abc import Callable

from mmengine.optim import OptimWrapper
from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor
from torch import nn

from symmim_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS
from symmim_mm.utils.dist import unwrap
from symmim_mm.utils.errors import UserError

BACKBONE = 'backbone.'
NO_DECAY = {'.cls_token': dict(decay_mult=0.0), '.pos_embed': dict(decay_mult=0.0)}


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(LearningRateDecayOptimWrapperConstructor):
    """Give each block of ``model.backbone`` its own learning rate; all else the full one.

    With ``L`` blocks and decay ``r`` a parameter of depth ``d`` learns at ``lr * r^(L + 1 - d)``
    (BEiT ``optim_factory.py``): patch, class token and position embedding have depth 0, block
    ``i`` (from 0) has ``i + 1``; the final norm and everything outside the backbone have
    ``L + 1``, that is the full learning rate. MMPretrain's class computes the groups; this one
    finds the depths in the backbone of any model, also inside a parallel wrapper, and merges groups
    with equal settings, because an optimizer's fused and for-each steps work group by group.
    Position embedding and class token have no weight decay unless ``custom_keys`` names them.

    ``paramwise_cfg`` takes ``layer_decay_rate`` (required), ``norm_decay_mult``,
    ``bias_decay_mult``, ``flat_decay_mult`` (all 1-d parameters) and ``custom_keys`` (name part
    -> ``decay_mult``). Frozen parameters get no group. Every group holds ``lr``,
    ``weight_decay`` (if set), ``lr_scale`` and ``names``, the parameters' names.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer wrapper for a model.

        Raises:
            UserError: no ``layer_decay_rate``, or a backbone without ``get_layer_depth``.
        """
        model = unwrap(model)
        rate = self.paramwise_cfg.get('layer_decay_rate')
        if not isinstance(rate, (int, float)) or not 0 < rate <= 1:
            raise UserError(
                f'optim_wrapper.paramwise_cfg.layer_decay_rate must be in (0, 1], got {rate}'
            )
        if not hasattr(getattr(model, 'backbone', None), 'get_layer_depth'):
            raise UserError(
                f'layer decay needs a backbone with get_layer_depth, and {type(model).__name__} '
                'has none: use a ViT backbone or another optim_wrapper.constructor'
            )
        return super().__call__(model)

    def add_params(
        self,
        params: list[dict],
        module: nn.Module,
        prefix: str = '',
        get_layer_depth: Callable[[str], tuple[int, int]] | None = None,
        **kwargs: object,
    ) -> None:
        """Append the groups of ``module`` to ``params``; at the root, merge equal ones."""
        if prefix:
            super().add_params(params, module, prefix, get_layer_depth, **kwargs)
            return
        if self.base_wd is not None:
            custom_keys = {**NO_DECAY, **self.paramwise_cfg.get('custom_keys', {})}
            self.paramwise_cfg = {**self.paramwise_cfg, 'custom_keys': custom_keys}

        def depth(name: str) -> tuple[int, int]:
            return module.backbone.get_layer_depth(name, BACKBONE)

        super().add_params(params, module, prefix, depth, **kwargs)
        params[:] = merge_groups(params)


def merge_groups(groups: list[dict]) -> list[dict]:
    """Merge one-parameter groups with equal settings, in the order of their first members.

    A parameter that occurs twice (shared between modules) is kept once, as it occurs first. The
    names are collected in ``names``; ``layer_id`` is dropped, as ``lr_scale`` follows from it.
    """
    merged: dict[tuple, dict] = {}
    seen: set[int] = set()
    for group in groups:
        settings = {k: v for k, v in group.items() if k not in ('params', 'param_name', 'layer_id')}
        joined = merged.setdefault(
            tuple(sorted(settings.items())), {'params': [], **settings, 'names': []}
        )
        (param,) = group['params']
        if id(param) not in seen:
            seen.add(id(param))
            joined['params'].append(param)
            joined['names'].append(group['param_name'])
    return [group for group in merged.values() if group['params']]
