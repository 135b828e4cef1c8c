"""What fine-tuning, detection and segmentation on one's own labels share: plan, run, page."""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

from symmim_mm.apis.own_data.backbone import (
    DEFAULT_MODEL,
    backbone_settings,
    new_backbone,
    open_start,
)
from symmim_mm.apis.own_data.plan import Plan, absolute, check_numbers, config_text
from symmim_mm.apis.own_data.pretrain import finish, measure_rate, train_planned, worker_count
from symmim_mm.checkpoint.encoder import Encoder
from symmim_mm.datasets.label_share import Share, share_of_labels
from symmim_mm.datasets.survey import FolderSurvey, measure
from symmim_mm.planning.folder_plan import seconds_of
from symmim_mm.planning.transfer_plan import (
    ENOUGH_STEPS,
    TransferRecipe,
    transfer_batch,
    transfer_recipe,
)
from symmim_mm.results.record import FILE_NAME, Record
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import counted

HELD_OUT = 0.2  # share of the images, where there is no validation set
PART = re.compile(r'train(ing|\d{4})?|images')  # folder of a part of some data, as COCO's train2017
# Of a short detection or segmentation. The published .7 hardly moves the first blocks: box AP of
# nuclei was 20.0 after 1,000 steps with it and 23.6 with .9 (docs/own_data.md).
SHORT_DECAY = 0.9


class TransferOptions(TypedDict, total=False):
    """Options of all transfers, by the names of the command line."""

    backbone: str | Path | None  # checkpoint to start from; random weights without one
    model: str | None  # one of MODELS, instead of a backbone
    heads: int | None  # attention heads, where neither the checkpoint nor its size gives them
    labels: float  # share of the labels to train with
    image_size: int | None  # side in pixels; by default what backbone and images have
    budget: str  # time for the training, '30m' or '2h'; unless there are
    epochs: int | None  # passes over the labeled images
    out: str | Path | None  # where everything goes
    seed: int
    workers: int | None  # loader processes; one less than there are cores by default
    report: Callable[[str], None]  # gets progress and findings, line by line


DEFAULTS = TransferOptions(
    backbone=None, model=None, heads=None, labels=1.0, image_size=None, budget='1h', epochs=None,
    out=None, seed=0, workers=None, report=print,
)  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """What a task found and how it is trained."""

    backbone: Encoder  # that it starts from
    images: int  # labeled ones that are trained on
    parts: Callable[[TransferRecipe], dict[str, Any]]  # what the config states, the recipe apart
    found: list[str]  # lines for the user


class Validation(NamedTuple):
    """What is validated on: data of its own, or a share of the images."""

    data: tuple[Path, ...]  # none where it is a share
    trained: Share  # of the images
    measured: Share  # of the images, or of the data
    line: str  # for the user


def transfer_backbone(
    options: TransferOptions, start: Encoder | None, folder: Path, files: Sequence[str]
) -> tuple[Encoder, int]:
    """Return the backbone of a run, for images of a folder, and their shorter side.

    Random weights get images that are normalized by their own mean and standard deviation: dark
    ones, normalized by ImageNet's, are one large constant next to little content.

    Args:
        options: name a model, where there is no
        start: that of a checkpoint.
        folder: of the images.
        files: their paths below it.

    Raises:
        UserError: one of a sample of images cannot be read, at which a training would stop.
    """
    channels = start.channels if start else 3
    found = measure(FolderSurvey(folder, list(files), Counter(), channels=channels))
    for path, reason in found.unreadable.items():
        raise UserError(
            f'{folder / path} cannot be read ({reason}), one of {len(found.unreadable)} in a '
            f'sample of {found.sampled}: repair or remove them; `symmim check` finds all'
        )
    # The patch follows from the size that the model will see.
    side = options['image_size'] or found.shorter_side
    backbone = start or new_backbone(options['model'], side)
    # Of weights that do not say how their images were normalized, only RGB can be guessed.
    if not start or (channels != 3 and not start.normalization):
        own = dict(mean=list(found.mean), std=list(found.std))
        backbone = replace(backbone, normalization=own)
    return backbone, found.shorter_side


def open_validation(
    val: str | Path | Sequence[str | Path] | float | None, paths: int
) -> Validation:
    """Return what a task is validated on.

    Args:
        val: a share to hold out, None for nothing, or data of its own, of as many
        paths: as the task takes.

    Raises:
        UserError: a share that is none, or another number of paths.
    """
    everything = (0.0, 1.0)
    if val is None:
        line = 'nothing is held out: what is measured are images that were trained on'
        return Validation((), everything, everything, line)
    if not isinstance(val, int | float):
        data = tuple(map(Path, [val] if isinstance(val, str | Path) else val))
        words = ' '.join(map(str, data))
        if len(data) != paths:
            what = f'{paths} path{"s" if paths > 1 else ""}'
            raise UserError(f'--val {words}: must be a share such as 0.2, none, or {what}')
        return Validation(data, everything, everything, f'validation: {words}')
    if not 0 < val < 1:
        raise UserError(f'--val {val}: the share to hold out must lie between 0 and 1')
    kept = round(1 - val, 6)
    line = f'{val:.0%} of the images are held out for validation, the same at every call'
    return Validation((), (0.0, kept), (kept, 1.0), line)


def run_transfer(
    task: str,
    folder: Path,
    prepare: Callable[[Path, Encoder | None, TransferOptions], Setup],
    data: Mapping[str, object],
    **given: Unpack[TransferOptions],
) -> Path:
    """Plan and train a transfer, write its page, and return that.

    Args:
        task: ``'finetune'``, ``'detection'`` or ``'segmentation'``.
        folder: of the images, by which the data are called, or a list of them.
        prepare: looks at the data; gets the folder for lists, the backbone to start from and all
            options. Not called for a run that continues.
        data: paths of the data and what is validated on, by argument.
        **given: see :class:`TransferOptions`.

    Raises:
        UserError: data, options or a checkpoint that cannot work.
    """
    options: TransferOptions = {**DEFAULTS, **given}
    report, backbone, epochs = options['report'], options['backbone'], options['epochs']
    # Advice on losses and optional packages, which is none for whom types one command.
    warnings.filterwarnings('ignore', module='mmseg|mmdet')
    share_of_labels(options['labels'])
    numbers: dict[str, int | None] = dict(
        heads=options['heads'],
        image_size=options['image_size'],
        epochs=epochs,
        seed=options['seed'],
    )
    check_numbers(**numbers, workers=options['workers'])
    seconds, name = seconds_of(options['budget']), data_name(folder)
    arguments = {key: absolute(value) for key, value in data.items()} | dict(
        backbone=absolute(backbone), labels=float(options['labels']),
        model=None if backbone else options['model'] or DEFAULT_MODEL,
        **numbers, budget=None if epochs else options['budget'],
    )  # fmt: skip
    place = Path(options['out'] or Path('work_dirs', f'{name}-{task}'))
    plan = Plan(place, task, arguments)
    if not plan.continues(report):
        start = open_start(backbone, options['model'], options['heads'])
        if start and start.channels != 3 and task != 'finetune':
            raise UserError(
                f'{start.source} reads {start.channels} channels; detect and segment train on '
                'images of 3: take another backbone'
            )
        setup = prepare(plan.folder, start, options)
        for line in setup.found:
            report(line)
        if not backbone:
            report('no --backbone: the start is random, which few labels cannot make up for')
        workers = worker_count(options['workers'])
        if options['labels'] < 1:
            name += f', {options["labels"]:.0%} of the labels'

        def text(recipe: TransferRecipe) -> str:
            return _transfer_text(task, name, setup, recipe, workers, plan.config, backbone)

        batch = transfer_batch(task, setup.images)
        rate = 0.0
        if epochs is None:
            report('measuring some steps')
            endless = TransferRecipe(1000, batch, 1000 * (setup.images // batch), 0, 1e-5)
            rate = measure_rate(text(endless), backbone)
        recipe = transfer_recipe(
            task, setup.images, setup.backbone.width, epochs=epochs, rate=rate, seconds=seconds
        )
        report(
            f'{counted(recipe.epochs, "epoch")} of {setup.images} labeled images, '
            f'{counted(recipe.steps, "step")} of {batch}, learning rate {recipe.lr:g}'
            + (f', about {recipe.steps * batch / rate / 60:.0f} minutes' if rate else '')
        )
        plan.write(text(recipe))
    train_planned(plan.config, place, seed=options['seed'], backbone=backbone)
    record = Record.read(place / FILE_NAME)
    report(', '.join(f'{key} {value:.1f}' for key, value in record.metrics.items()))
    return finish(place, report)


def _transfer_text(
    task: str,
    name: str,
    setup: Setup,
    recipe: TransferRecipe,
    workers: int,
    config: Path,
    start: object,
) -> str:
    """Return the config of a run: the full recipe of its task as base, and what differs."""
    parts = setup.parts(recipe)
    width = setup.backbone.width
    size = 's' if width < 576 else 'b' if width < 896 else 'l'  # the shipped one of about this
    base = parts.pop('_base_').format(size)
    length: dict[str, Any] = dict(batch=recipe.batch, lr=recipe.lr, lr_batch=recipe.batch)
    last = recipe.epochs if task == 'finetune' else recipe.steps
    interval = max(1, last // 5)
    if task == 'finetune':
        warmup = -(-1000 * recipe.warmup * recipe.epochs // recipe.steps) / 1000
        length |= dict(epochs=recipe.epochs, warmup_epochs=warmup)
    else:
        length |= dict(iterations=recipe.steps, warmup_iterations=recipe.warmup)
    if task == 'detection':
        length['milestones'] = [max(1, recipe.steps * 8 // 9), max(2, recipe.steps * 26 // 27)]
    parts = dict(
        run=dict(dataset=name),
        recipe=length,
        # Measuring is no part of the budget: a short run is measured once, at its end.
        train_cfg=dict(val_interval=interval if recipe.steps >= ENOUGH_STEPS[task] else last),
        default_hooks=dict(
            checkpoint=dict(interval=interval, max_keep_ckpts=1), logger=dict(interval=10)
        ),
        **parts,
    )
    hooks = [dict(type='symmim_mm.ProgressHook'), dict(type='symmim_mm.PageHook')]
    parts['custom_hooks'] = [*parts.get('custom_hooks', []), *hooks]
    for loader in ('train_dataloader', 'val_dataloader'):
        parts[loader] |= dict(num_workers=workers, persistent_workers=workers > 0)
    parts['model']['backbone'] = backbone_settings(setup.backbone) | parts['model']['backbone']
    if not recipe.strong:
        parts['model']['backbone']['drop_path_rate'] = 0.0
    decay = SHORT_DECAY if task != 'finetune' and not recipe.strong else None
    if not start:  # layers that have learned nothing yet need the full rate
        decay = 1.0
    if decay:
        parts['optim_wrapper'] = dict(paramwise_cfg=dict(layer_decay_rate=decay))
    text = config_text(f'{name}: {setup.images} labeled images', base, parts, config, start)
    return text + 'test_dataloader = val_dataloader\n'


def data_name(folder: Path) -> str:
    """Return what to call the data in a folder: its name, or that of the folder around a part."""
    path = folder.resolve()
    name = path.stem if path.is_file() else path.name
    while PART.fullmatch(name) and path.parent.name:
        path = path.parent
        name = path.name
    return name
