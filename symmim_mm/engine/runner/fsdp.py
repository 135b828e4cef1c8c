"""FSDP: parameters, gradients and optimizer states sharded over the processes.

For models that one GPU cannot hold. MMEngine's ``FlexibleRunner`` and ``FSDPStrategy`` do the work.
This module makes them give DDP's results and DDP's files: parameter groups built while the
parameters have their shapes, clipping by the norm over all processes, a momentum branch that is
sharded as the online branch is, synchronized BatchNorm, and unsharded checkpoints.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import chain

import torch
from mmengine._strategy import FSDPStrategy
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.runner import FlexibleRunner, save_checkpoint
from mmengine.utils import apply_to
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
from torch.distributed.fsdp.wrap import lambda_auto_wrap_policy

from symmim_mm.engine.hooks.checkpoint_hook import BACKEND
from symmim_mm.engine.hooks.model_hooks import load_start
from symmim_mm.engine.launch import DeferredConfig
from symmim_mm.models.base import fsdp_units
from symmim_mm.registry import STRATEGIES
from symmim_mm.utils.errors import UserError


def use_fsdp(
    cfg: Config, processes: int, backbone: str | None, branch: str, compiled: bool
) -> None:
    """Let a run shard its model over the processes (``tools/train.py --fsdp``).

    Raises:
        UserError: there is one process only, or the model is to be compiled.
    """
    if processes < 2:
        raise UserError(
            '--fsdp shards a model over processes, and there is one: start it with '
            'tools/dist_train.sh or tools/slurm_train.sh, or leave --fsdp out'
        )
    if compiled:
        raise UserError('--fsdp and --compile cannot be combined: leave one of them out')
    cfg.strategy = dict(
        type='symmim_mm.ShardedStrategy',
        sync_bn=cfg.get('sync_bn'),
        backbone=backbone,
        branch=branch,
    )
    if 'Amp' in cfg.optim_wrapper.get('type', ''):
        cfg.optim_wrapper.use_fsdp = True
        if cfg.optim_wrapper.get('dtype') == 'float16':
            # The verdict of torch's sharded scaler has a shape that its fused kernels refuse.
            cfg.optim_wrapper.optimizer.fused = False


@STRATEGIES.register_module()
class ShardedStrategy(FSDPStrategy):
    """``FSDPStrategy`` with the results and the checkpoint files of DDP.

    Args:
        sync_bn: as in a config of MMEngine: ``'torch'`` where BatchNorm is to be synchronized.
        backbone: checkpoint to load into ``model.backbone`` before it is sharded.
        branch: encoder of a SymMIM checkpoint to take.
        **kwargs: as ``FSDPStrategy``.
    """

    def __init__(
        self,
        *,
        sync_bn: str | None = None,
        backbone: str | None = None,
        branch: str = 'online',
        **kwargs: object,
    ) -> None:
        on_gpu = torch.cuda.is_available()
        super().__init__(state_dict_cfg='full', sync_bn=sync_bn if on_gpu else None, **kwargs)
        self.backbone, self.branch = backbone, branch
        self.names: list[list[str]] = []
        self.whole_state: dict[str, Tensor] = {}
        self.position: dict[str, int] = {}  # epoch and iteration of the next checkpoint
        if not on_gpu:
            # On the CPU, torch's offloading to the CPU frees the very memory that it reads.
            self.state_dict_config.offload_to_cpu = False
            self.optim_state_dict_config.offload_to_cpu = False

    def prepare(
        self, model: nn.Module | dict, *, optim_wrapper: dict | None = None, **kwargs: object
    ) -> tuple:
        """Do as ``FSDPStrategy.prepare``, with parameter groups built before the model is sharded.

        Their rules depend on the shapes of the parameters, which are flat afterwards.
        """
        model = self.build_model(model)
        if isinstance(optim_wrapper, dict):
            optim_wrapper = build_optim_wrapper(model, optim_wrapper)
        return super().prepare(model, optim_wrapper=optim_wrapper, **kwargs)

    def _init_model_weights(self, model: nn.Module) -> nn.Module:
        model = super()._init_model_weights(model)
        if self.backbone:
            load_start(model, self.backbone, self.branch, self.logger)
        return model

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        model = self.convert_model(model) if self.sync_bn else revert_sync_batchnorm(model)
        # What a checkpoint holds, without values: a sharded model does not know its shapes.
        state = model.state_dict()
        self.whole_state = {k: torch.empty_like(v, device='meta') for k, v in state.items()}
        chosen = {id(module) for module in fsdp_units(model)}
        policy = partial(lambda_auto_wrap_policy, lambda_fn=lambda module: id(module) in chosen)
        self.model_wrapper = dict(type='MMFullyShardedDataParallel', auto_wrap_policy=policy)
        if not torch.cuda.is_available():
            self.model_wrapper['device_id'] = torch.device('cpu')
        return super()._wrap_model(model)

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper, model: nn.Module) -> OptimWrapper:
        """Replace the parameters by the sharded ones, and let all processes clip together."""
        parameters = {
            name.replace('_fsdp_wrapped_module.', ''): parameter
            for name, parameter in model.named_parameters()
        }
        groups = optim_wrapper.optimizer.param_groups
        self.names = [[self.id_to_name[id(param)] for param in group['params']] for group in groups]
        for group, names in zip(groups, self.names, strict=True):
            group['params'] = [parameters[name] for name in names]
        if optim_wrapper.clip_grad_kwargs and optim_wrapper.grad_name == 'grad_norm':
            optim_wrapper.clip_func = partial(_clip, model)
        return optim_wrapper

    def whole_groups(self) -> list[list[Tensor]]:
        """Return the optimizer's parameters, by group, as they were before sharding."""
        return [[self.whole_state[name] for name in names] for names in self.names]

    def optim_state_dict(self) -> dict:
        """Return the optimizer's state as one process alone saves it; complete on rank 0 only."""
        wrapper = self.optim_wrapper
        state = FSDP.optim_state_dict(self.model, wrapper.optimizer)
        others = {k: v for k, v in wrapper.state_dict().items() if k not in state}
        numbers = {name: number for number, name in enumerate(chain(*self.names))}
        return others | _rekeyed(state, numbers)

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Load the state of :meth:`optim_state_dict`, or what DDP has saved."""
        named = _rekeyed(state_dict, dict(enumerate(chain(*self.names))))
        sharded = FSDP.optim_state_dict_to_load(self.model, self.optim_wrapper.optimizer, named)
        others = {k: v for k, v in state_dict.items() if k not in named}
        self.optim_wrapper.load_state_dict(others | sharded)

    def load_checkpoint(self, filename: str, **kwargs: object) -> dict:
        """Do as ``FSDPStrategy.load_checkpoint``, with the whole file never on a GPU."""
        return super().load_checkpoint(filename, **{**kwargs, 'map_location': 'cpu'})

    def save_checkpoint(
        self,
        filename: str,
        *,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        extra_ckpt: dict,
        callback: Callable[[dict], None],
    ) -> None:
        """Gather everything on rank 0, which writes one file as MMEngine's ``Runner`` does."""
        checkpoint = apply_to(extra_ckpt, lambda x: hasattr(x, 'cpu'), lambda x: x.cpu())
        checkpoint['meta'] |= self.position
        checkpoint['meta'] |= dict(seed=self.seed, time=time.strftime('%Y%m%d_%H%M%S'))
        checkpoint['state_dict'] = self.model_state_dict()
        if save_optimizer:
            checkpoint['optimizer'] = self.optim_state_dict()
        if save_param_scheduler and hasattr(self, 'param_schedulers'):
            checkpoint['param_schedulers'] = self.scheduler_state_dict()
        callback(checkpoint)
        if is_main_process():
            save_checkpoint(checkpoint, filename, backend_args=dict(backend=BACKEND))


def _rekeyed(state: dict, keys: dict) -> dict:
    """Return an optimizer's state with other keys for its parameters; an empty one stays so."""
    return dict(
        state={keys[key]: value for key, value in state.get('state', {}).items()},
        param_groups=[
            {**group, 'params': [keys[key] for key in group['params']]}
            for group in state.get('param_groups', [])
        ],
    )


def _clip(model: FSDP, params: list[Tensor], **kwargs: object) -> Tensor:
    """Clip the gradients of a sharded model by their norm over all processes; return that norm."""
    return model.clip_grad_norm_(**kwargs)


class ShardedRunner(DeferredConfig, FlexibleRunner):
    """``FlexibleRunner`` that builds its model at once and names checkpoints as ``Runner`` does."""

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'ShardedRunner':
        """Do as ``FlexibleRunner.from_cfg``; ``model`` is a module, not yet sharded."""
        runner = super().from_cfg(cfg)
        runner.model = runner.strategy.build_model(runner.model)
        return runner

    def save_checkpoint(self, *args: object, meta: dict, **kwargs: object) -> None:
        """Do as ``Runner.save_checkpoint``; ``FlexibleRunner`` overrides what ``meta`` holds."""
        self.strategy.position = dict(meta)
        super().save_checkpoint(*args, meta=meta, **kwargs)

    def whole_model(self) -> nn.Module | None:
        """Return an unsharded copy of the model on the CPU of rank 0; every rank must call this."""
        state = self.strategy.model_state_dict()
        if not is_main_process():
            return None
        model = MODELS.build(self.cfg.model)
        model.load_state_dict(state)
        return model
