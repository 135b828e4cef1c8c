"""Pre-training on a folder of images: look, measure, plan, train, show what was learned."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from mmengine.hooks import Hook
from mmengine.runner import Runner

from symmim_mm.apis.embed import show_embeddings
from symmim_mm.apis.own_data.backbone import DEFAULT_MODEL, choose_side, new_backbone, open_start
from symmim_mm.apis.own_data.folder_config import pretrain_text
from symmim_mm.apis.own_data.plan import Plan, absolute, check_numbers, write_list
from symmim_mm.apis.train import configure, train
from symmim_mm.checkpoint.encoder import Encoder
from symmim_mm.datasets.survey import FolderSurvey, survey
from symmim_mm.engine.launch import launched_runner
from symmim_mm.engine.precision import has_bf16_units
from symmim_mm.planning.folder_plan import FROM_SCRATCH, FolderRecipe, choose_recipe, seconds_of
from symmim_mm.results.collect import collect, write_progress
from symmim_mm.results.page.report import next_commands
from symmim_mm.results.record import FILE_NAME, Record
from symmim_mm.results.runs import RecordedRun
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.host import available_cores
from symmim_mm.utils.text import counted

METHODS = ('symmim', 'mae', 'simmim')
TIMED_STEPS = 4
TIMED_S = 20  # after which one step is enough


def pretrain(
    folder: str | Path,
    *,
    method: str = 'symmim',
    model: str | None = None,
    init: str | Path | None = None,
    heads: int | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    budget: str = '1h',
    epochs: int | None = None,
    steps: int | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    workers: int | None = None,
    projection: str = 'pca',
    track: Sequence[str] = (),
    report: Callable[[str], None] = print,
) -> Path:
    """Pre-train on a folder of images, and write a page of what was learned.

    The same call again continues an interrupted run, or finishes its page; one with other
    arguments needs another ``out``. A GPU, or a CPU with bf16 matrix units (AMX), trains in mixed
    precision.

    Args:
        folder: of images, sub-folders included; labels are not needed.
        method: ``'symmim'``, ``'mae'`` or ``'simmim'``.
        model: one of ``MODELS`` for a random start; ``'vit-ti'`` by default.
        init: checkpoint to start from: one of ours, MAE's, timm's, Hugging Face's, DINO's, ...
            Width, depth, patch size and, unless given, image size follow from it.
        heads: attention heads, where neither the checkpoint nor its size gives them.
        image_size: side in pixels; by default that of ``init``, else what the images have, 224 at
            most.
        channels: of the images; those of ``init`` by default, else 3. With another number than 3
            every image must have as many, which are kept in the order of its file; weights of 3
            channels are adapted.
        budget: time for the training, ``'30m'`` or ``'2h'``; unless there are
        epochs: passes over the images; or
        steps: optimizer steps.
        out: where everything goes; ``work_dirs/<folder's name>-<method>`` by default.
        seed: random seed.
        workers: loader processes; one less than there are cores by default.
        projection: of the page's map of the embedding: ``'pca'``, or ``'tsne'``, which needs
            the extra ``tsne``.
        track: trackers that get scalars and images: ``'tensorboard'``, ``'wandb'``, ``'mlflow'``.
        report: gets progress and findings, line by line.

    Returns:
        The page.

    Raises:
        UserError: a folder, budget, size or checkpoint that cannot work.
    """
    if method not in METHODS:
        raise UserError(f'method must be one of {", ".join(METHODS)}, got {method}')
    if projection == 'tsne' and find_spec('openTSNE') is None:
        raise UserError("--projection tsne needs openTSNE: pip install '.[tsne]'")
    if epochs is not None and steps is not None:
        raise UserError('give epochs or steps, not both')
    check_numbers(
        epochs=epochs, steps=steps, image_size=image_size, heads=heads, seed=seed, workers=workers
    )
    seconds = seconds_of(budget)
    name = f'{Path(folder).resolve().name}-{method}'
    place = Path(out) if out else Path('work_dirs', name)
    arguments = dict(
        folder=absolute(folder), method=method, init=absolute(init), heads=heads,
        model=None if init else model or DEFAULT_MODEL, image_size=image_size, channels=channels,
        epochs=epochs, steps=steps, budget=None if epochs or steps else budget, seed=seed,
    )  # fmt: skip
    plan = Plan(place, 'pretrain', arguments)
    if not plan.continues(report):
        start = open_start(init, model, heads)
        channels = choose_channels(channels, start)
        found = survey(folder, channels=channels)
        report(found.describe())
        found.images = [path for path in found.images if path not in found.unreadable]
        backbone = start or new_backbone(model, found.shorter_side, image_size)
        if start and start.channels != channels:
            report(
                f'{init} reads 3 channels: its patch embedding is adapted to {channels} as timm '
                'does, layers that predict pixels start at random'
            )
        # Masks are checkerboards of 2 x 2 patches.
        side = choose_side(image_size, backbone.image, 2 * backbone.patch, backbone.image)
        backbone = replace(backbone, image=side, channels=channels)

        def text(recipe: FolderRecipe | None) -> str:
            return pretrain_text(
                found, method, backbone, recipe, plan.folder, init, worker_count(workers)
            )

        timed = text(None)  # refuses too few images
        write_lists(found, plan.folder)
        report('measuring some steps')
        rate = measure_rate(timed, init, amp=has_bf16_units())
        recipe = choose_recipe(
            len(found.images), side, backbone.width, rate=rate,
            seconds=seconds, epochs=epochs, steps=steps,
        )  # fmt: skip
        report(describe(recipe, backbone, method, rate))
        if init is None and len(found.images) < FROM_SCRATCH:
            report(
                f'from scratch, {len(found.images)} images teach little: weights from elsewhere '
                '(--init FILE: of MAE, DINO, timm, Hugging Face, ...) are the better start'
            )
        plan.write(text(recipe))
    train_planned(plan.config, place, seed=seed, backbone=init, amp=has_bf16_units(), track=track)
    write_progress(Record.read(place / FILE_NAME), place, 'trained; its images are compared')
    for line in show_embeddings(place, projection):
        report(line)
    return finish(place, report)


def choose_channels(wanted: int | None, start: Encoder | None) -> int:
    """Return the number of channels of the images: what is wanted, else what the weights read.

    Raises:
        UserError: less than one, or weights that read neither as many nor 3, which are adapted.
    """
    channels = wanted if wanted is not None else start.channels if start else 3
    if channels < 1:
        raise UserError(f'--channels {channels}: images have 1 at least')
    if start and start.channels not in (channels, 3):
        raise UserError(
            f'{start.source} reads {start.channels} channels, not {channels}: give --channels '
            f'{start.channels}, or other weights, of which those of 3 channels are adapted'
        )
    return channels


def worker_count(wanted: int | None) -> int:
    """Return the number of loader processes, by default one less than there are cores."""
    return max(1, available_cores() - 1) if wanted is None else wanted


def train_planned(config: Path, place: Path, **options: Any) -> None:
    """Train a config that was written, or continue, unless it is finished; options of train."""
    if not (place / FILE_NAME).is_file():
        # MMEngine's log goes to its file; errors and the progress bar go to stderr.
        with redirect_stdout(nowhere()):
            train(config, work_dir=place, resume=True, **options)


@cache
def nowhere() -> TextIO:
    """Return a file that keeps nothing; it stays open, as MMEngine's loggers hold on to it."""
    return open(os.devnull, 'w')


def finish(work_dir: Path, report: Callable[[str], None]) -> Path:
    """Write the page of a finished run, and report it and the commands for what comes next."""
    page = collect([work_dir]).page
    report(f'page: {page}')
    run = RecordedRun(Record.read(work_dir / FILE_NAME), work_dir)
    for what, command in next_commands(run):
        report(f'{what}: {command}')
    return page


def write_lists(found: FolderSurvey, plan: Path) -> None:
    """Write ``train.txt`` and ``held_out.txt``: every so many images are held out.

    Raises:
        UserError: a name that no line of a list can hold.
    """
    images = found.images
    held = max(8, min(64, len(images) // 20))
    chosen = {images[number * len(images) // held] for number in range(held)}
    write_list(plan / 'train.txt', found.root, (path for path in images if path not in chosen))
    write_list(plan / 'held_out.txt', found.root, sorted(chosen))


def describe(recipe: FolderRecipe, backbone: Encoder, method: str, rate: float) -> str:
    """Return the plan, in lines."""
    seconds = recipe.steps * recipe.batch / rate
    end = time.strftime('%H:%M on %d %b', time.localtime(time.time() + seconds))
    return (
        f'{method}, ViT of width {backbone.width} and {backbone.layers} layers, {backbone.image} '
        f'pixels in patches of {backbone.patch}\n'
        f'{counted(recipe.epochs, "epoch")}, {counted(recipe.steps, "step")} of {recipe.batch} '
        f'images, learning rate {recipe.lr:g}, {recipe.held_out} images held out\n'
        f'{rate:.1f} images a second: {seconds / 60:.0f} minutes, until {end}'
    )


class _Stop(Exception):
    """Ends the timed steps."""


class _TimerHook(Hook):
    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.times: list[float] = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        float((outputs or {})['loss'].detach())  # waits for the device
        self.times.append(time.perf_counter())
        slow = len(self.times) > 1 and self.times[-1] - self.times[0] > TIMED_S
        if slow or len(self.times) > 2 * self.steps:
            raise _Stop


def measure_rate(
    text: str, init: str | Path | None, steps: int = TIMED_STEPS, amp: bool = False
) -> float:
    """Train some steps of a config in a folder that is removed; return images per second.

    As many steps come before those that are timed, where an epoch has so many. Slow steps are
    measured for less time: 20 seconds after the first, or the second alone.
    """
    timer = _TimerHook(steps)
    with tempfile.TemporaryDirectory(prefix='symmim-timed-') as folder:
        path = Path(folder, 'pretrain.py')
        path.write_text(text, encoding='utf-8')
        cfg = configure(path, work_dir=folder, backbone=str(init) if init else None, amp=amp)
        for name in ('health', 'images'):
            cfg.default_hooks.pop(name, None)
        shown = ('symmim_mm.ProgressHook', 'symmim_mm.PageHook')
        cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type not in shown]
        batch = cfg.train_dataloader.batch_size
        with redirect_stdout(nowhere()), launched_runner(cfg, 'none') as runner:
            runner.register_hook(timer)
            with suppress(_Stop):
                runner.train()
    steps = min(steps, len(timer.times) - 1)
    return batch * steps / (timer.times[-1] - timer.times[-1 - steps])
