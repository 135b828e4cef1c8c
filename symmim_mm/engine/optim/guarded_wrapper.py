"""Optimizer wrappers that do not apply a step whose loss or gradient is not finite."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from mmengine.dist import all_reduce
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from symmim_mm.models.backbones.split_attention import use_matmul_attention
from symmim_mm.registry import OPTIM_WRAPPERS
from symmim_mm.utils.async_scalars import AsyncScalars


class Verdict(NamedTuple):
    """What became of an optimizer step."""

    skipped: bool  # it was not applied, on any rank
    loss: bool  # the loss of some rank was not finite; if not, only the gradient was
    own_loss: bool  # the loss of this rank was not


class GuardedStep:
    """Mixin for MMEngine's optimizer wrappers: a step that is not finite changes nothing.

    A loss that is not finite makes the whole gradient so, and with DDP that of every rank; what
    is checked is the norm of the gradient, which clipping computes anyway. The kernel of a fused
    optimizer skips the step itself, as with torch's ``GradScaler``; any other optimizer costs a
    wait for the device. The running statistics of batch normalization, which change in the forward
    pass, are restored to those of the last step.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.buffers: list[Tensor] = []
        self.kept: list[Tensor] = []
        self.bad_loss: Tensor | None = None
        self.verdicts: AsyncScalars | None = None  # without NotFiniteHook nobody reads them
        self.norms = AsyncScalars()

    def watch(self, model: nn.Module) -> None:
        """Keep running statistics of a model, and verdicts; called once, before the first step."""
        norms = [module for module in model.modules() if isinstance(module, _NormBase)]
        self.buffers = [buffer for norm in norms for buffer in norm.buffers(recurse=False)]
        self.kept = [buffer.clone() for buffer in self.buffers]
        self.verdicts = AsyncScalars()

    def update_params(self, loss: Tensor, *args: object, **kwargs: object) -> None:
        """Do as ``OptimWrapper.update_params``; a loss that is not finite spoils the gradient."""
        finite = loss.detach().isfinite()
        bad = ~finite
        self.bad_loss = bad if self.bad_loss is None else self.bad_loss | bad
        spoil = torch.where(finite, 1.0, torch.nan).to(loss.dtype)
        super().update_params(loss * spoil, *args, **kwargs)

    def take_verdicts(self) -> Iterator[Verdict]:
        """Yield the verdicts that can be read without waiting, one per step, oldest first."""
        for flags in self.verdicts.take():
            yield Verdict(**{name: bool(flag) for name, flag in flags.items()})

    def _judge(self, norm: Tensor) -> Tensor:
        """Note the verdict on a gradient's norm; bool scalar, true where it is to be skipped."""
        own = self.bad_loss.reshape(())
        self.bad_loss = None
        flags = torch.stack([~norm.isfinite().reshape(()), own]).float()
        all_reduce(flags, 'max')
        skip = flags.any()
        if self.verdicts is not None:
            self.verdicts.put(dict(skipped=skip, loss=flags[1], own_loss=own))
        return skip

    def _norm(self) -> Tensor:
        """Return the norm of the gradient, which is clipped where the config asks for it."""
        groups = self.optimizer.param_groups
        params = [p for group in groups for p in group['params'] if p.grad is not None]
        if self.clip_grad_kwargs and self.grad_name == 'grad_norm':
            norm = self.clip_func(params, **self.clip_grad_kwargs)
            self.norms.put({self.grad_name: norm})
            for scalars in self.norms.take():
                self.message_hub.update_scalar(f'train/{self.grad_name}', scalars[self.grad_name])
            return norm
        norm = torch.nn.utils.get_total_norm([p.grad for p in params])
        if self.clip_grad_kwargs:
            self.clip_func(params, **self.clip_grad_kwargs)
        return norm

    def _keep_or_restore(self, skip: Tensor) -> None:
        for buffer, kept in zip(self.buffers, self.kept, strict=True):
            buffer.copy_(torch.where(skip, kept, buffer))
            kept.copy_(buffer)

    def _step_unless(self, skip: Tensor, **kwargs: object) -> None:
        if all(group.get('fused') for group in self.optimizer.param_groups):
            # How torch's GradScaler tells a fused kernel to skip; the tests try each way.
            self.optimizer.found_inf = skip.float()
            try:
                self.optimizer.step(**kwargs)
            finally:
                del self.optimizer.found_inf
        elif not skip.item():
            self.optimizer.step(**kwargs)


@OPTIM_WRAPPERS.register_module()
class GuardedOptimWrapper(GuardedStep, OptimWrapper):
    """``OptimWrapper`` with :class:`GuardedStep`."""

    def step(self, **kwargs: object) -> None:
        """Clip and step, unless the gradient is not finite."""
        skip = self._judge(self._norm())
        self._step_unless(skip, **kwargs)
        self._keep_or_restore(skip)


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(GuardedOptimWrapper):
    """Mixed precision on a CPU: bf16 autocast. It needs no loss scale, bf16 has float32's range."""

    def watch(self, model: nn.Module) -> None:
        """Prepare a model; called once, before the first step."""
        super().watch(model)
        use_matmul_attention(model)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Let the forward pass of a step autocast."""
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield


@OPTIM_WRAPPERS.register_module()
class GuardedAmpOptimWrapper(GuardedStep, AmpOptimWrapper):
    """``AmpOptimWrapper`` with :class:`GuardedStep`; torch's scaler does the skipping itself."""

    def step(self, **kwargs: object) -> None:
        """Unscale, clip and step, unless the gradient is not finite; adapt the scale."""
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
        skip = self._judge(self._norm())
        if self.loss_scaler.is_enabled():
            self.loss_scaler.step(self.optimizer, **kwargs)
        else:
            self._step_unless(skip, **kwargs)
        self.loss_scaler.update(self._scale_update_param)
        self._keep_or_restore(skip)
