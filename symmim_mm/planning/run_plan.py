"""Plan of a run: everything that a dry run prints, computed from a config."""

import copy
from dataclasses import dataclass

from mmengine.config import Config
from torch import nn

from symmim_mm.config.image_size import Size, training_image_size
from symmim_mm.config.recipe import apply_recipe
from symmim_mm.models import SymMIM
from symmim_mm.models.backbones.feature_pyramid import check_strides
from symmim_mm.models.momentum import momentum_at
from symmim_mm.planning.costs import Activations, Flops, TrainingStep, measure_step
from symmim_mm.planning.fake_model import build_without_storage, make_runnable
from symmim_mm.planning.groups import ParameterGroup, parameter_groups
from symmim_mm.planning.length import Length, TrainingImages, run_length, training_images
from symmim_mm.planning.memory import FixedMemory, ShardedMemory, fixed_memory, sharded_memory
from symmim_mm.planning.schedule import RateSchedule
from symmim_mm.planning.tokens import Tokens, count_tokens


@dataclass(frozen=True)
class ModelSize:
    """Numbers of parameters: all, trained ones, those of the backbone."""

    parameters: int
    trained: int
    backbone: int


@dataclass(frozen=True)
class BatchPlan:
    """Images per optimizer step, and how they are split."""

    whole: int  # over all processes and micro-batches
    processes: int  # of the launch
    per_process: int  # images of one process in one micro-batch
    accumulation: int  # micro-batches per optimizer step
    # Keys that each query of SymMIM's contrastive loss is drawn apart from; None without that loss.
    negatives: int | None


@dataclass(frozen=True)
class RateSample:
    """Learning rate and EMA momentum of one optimizer step."""

    name: str  # of the step in the plan
    step: int  # counted from 0
    rate: float  # learning rate of the groups of full rate
    momentum: float | None  # used after the step; None without a momentum encoder


@dataclass(frozen=True)
class RunPlan:
    """Plan of a run."""

    task: str  # of the config
    method: str | None  # of the config
    model: str  # in words
    optimizer: str  # in words
    size: Size  # height and width of the training images
    model_size: ModelSize  # numbers of parameters
    tokens: list[Tokens]  # of every encoder
    images: TrainingImages  # of the training data
    batch: BatchPlan  # and its parts
    # None if it depends on data that are absent and unknown, or nothing is trained.
    length: Length | None
    rates: list[RateSample]  # samples along the run
    groups: list[ParameterGroup]  # of parameters; none where nothing is trained
    memory: FixedMemory  # of one process, without activations
    sharded: ShardedMemory | None  # the same with --fsdp; None for a single process
    flops: Flops  # of a training step, for one image
    activations: Activations  # of one micro-batch


def plan_run(cfg: Config, processes: int) -> RunPlan:
    """Plan the run of a config on a number of processes; the config itself is not changed.

    Raises:
        UserError: a recipe that cannot work, or does not split over the processes.
    """
    cfg = copy.deepcopy(cfg)
    trains = 'evaluation' not in cfg  # else tools/knn.py or tools/linear.py: one process
    if trains:
        apply_recipe(cfg, processes)
    model = build_without_storage(cfg)
    check_strides(model)
    images = training_images(cfg)
    length = run_length(cfg, images.count, processes)
    batch = _batch(cfg, model, processes if trains else 1)
    groups = parameter_groups(model, cfg) if trains else []
    # Before the masks lose their values:
    size = training_image_size(cfg)
    tokens = count_tokens(model, size)
    memory = fixed_memory(model, cfg, processes)
    sharded = sharded_memory(model, memory, processes) if trains and processes > 1 else None
    trained = sum(group.parameters for group in groups)
    parts = ModelSize(_count(model), trained, _count(model.backbone))

    mode = make_runnable(model)
    # BatchNorm cannot train on single numbers.
    flops, activations = measure_step(TrainingStep(model, cfg), mode, max(batch.per_process, 2))
    return RunPlan(
        task=cfg.run.task,
        method=cfg.run.get('method'),
        model=_model_name(cfg),
        optimizer=_optimizer_name(cfg) if trains else 'none: the encoder is frozen',
        size=size,
        model_size=parts,
        tokens=tokens,
        images=images,
        batch=batch,
        length=length,
        rates=_rates(cfg, model, length) if length else [],
        groups=groups,
        memory=memory,
        sharded=sharded,
        flops=flops,
        activations=activations,
    )


def _batch(cfg: Config, model: nn.Module, processes: int) -> BatchPlan:
    per_process = cfg.train_dataloader.batch_size
    accumulation = cfg.optim_wrapper.get('accumulative_counts', 1)
    whole = per_process * processes * accumulation
    return BatchPlan(
        whole=whole,
        processes=processes,
        per_process=per_process,
        accumulation=accumulation,
        negatives=whole - 1 if _contrasts(model) else None,
    )


def _contrasts(model: nn.Module) -> bool:
    return isinstance(model, SymMIM) and model.contrast_weight > 0


def _rates(cfg: Config, model: nn.Module, length: Length) -> list[RateSample]:
    """Return samples at the first step, the end of the warm-up, the quarters and the last step."""
    accumulation = cfg.optim_wrapper.get('accumulative_counts', 1)
    schedule = RateSchedule(cfg, length, cfg.optim_wrapper.optimizer.lr)
    last = length.steps - 1
    steps = {'first': 0}
    if schedule.warmup_end:
        steps['warm-up end'] = min(schedule.warmup_end // accumulation, last)
    steps |= {name: length.steps * k // 4 for k, name in ((1, '1/4'), (2, '1/2'), (3, '3/4'))}
    steps['last'] = last

    # An optimizer step has the learning rate of its last micro-batch.
    done = [min((step + 1) * accumulation, length.iterations) for step in steps.values()]
    momenta = [None] * len(done)
    if _contrasts(model):
        momenta = [momentum_at(n / length.iterations, **model.momentum_schedule) for n in done]
    rates = schedule.rates_at([n - 1 for n in done])
    return list(map(RateSample, steps, steps.values(), rates, momenta))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _model_name(cfg: Config) -> str:
    backbone = cfg.model.backbone
    arch, patch = backbone.get('arch', 'base'), backbone.get('patch_size', 16)
    if isinstance(arch, dict):
        arch = '{num_layers} blocks of {embed_dims}, {num_heads} heads'.format(**arch)
    kind, vit = (part.type.split('.')[-1] for part in (cfg.model, backbone))
    return f'{kind} on {vit} ({arch}, patch {patch})'


def _optimizer_name(cfg: Config) -> str:
    settings = dict(cfg.optim_wrapper.optimizer)
    name = settings.pop('type').split('.')[-1]
    parts = [f'{key} {value}' for key, value in settings.items() if key != 'lr']
    clip = cfg.optim_wrapper.get('clip_grad')
    parts += [f'clip {key} {value}' for key, value in clip.items()] if clip else ['no clipping']
    return f'{name}, {", ".join(parts)}'
