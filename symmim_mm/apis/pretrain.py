"""Pre-training on a folder of images: look, measure, plan, train, show what was learned."""

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import asdict
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import Runner

from symmim_mm.apis.embed import show_embeddings
from symmim_mm.apis.train import configure, train
from symmim_mm.config.file import CONFIGS
from symmim_mm.datasets.survey import FolderSurvey, survey
from symmim_mm.engine.launch import launched_runner
from symmim_mm.planning.folder_plan import (
    FROM_SCRATCH,
    MODELS,
    FolderRecipe,
    Shape,
    choose_batch,
    choose_recipe,
    choose_shape,
    seconds_of,
)
from symmim_mm.results.collect import collect
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic

METHODS = ('symmim', 'mae', 'simmim')
TIMED_STEPS = 4
PLAN, CONFIG = 'plan', 'pretrain.py'  # MMEngine writes its own, complete config into the run


def pretrain(
    folder: str | Path,
    *,
    method: str = 'symmim',
    model: str = 'vit-ti',
    init: str | Path | None = None,
    image_size: int | None = None,
    budget: str = '1h',
    epochs: int | None = None,
    steps: int | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    workers: int | None = None,
    report: Callable[[str], None] = print,
) -> Path:
    """Pre-train on a folder of images, and write a page of what was learned.

    The same call again continues an interrupted run, or finishes its page.

    Args:
        folder: of images, sub-folders included; labels are not needed.
        method: ``'symmim'``, ``'mae'`` or ``'simmim'``.
        model: one of ``MODELS``.
        init: checkpoint to start from: one of ours, MAE's, timm's, Hugging Face's, DINO's, ...
        image_size: side in pixels; by default what the images have, 224 at most.
        budget: time for the training, ``'30m'`` or ``'2h'``; unless there are
        epochs: passes over the images; or
        steps: optimizer steps.
        out: where everything goes; ``work_dirs/<folder's name>-<method>`` by default.
        seed: random seed.
        workers: loader processes; one less than there are cores by default.
        report: gets what is to be told, line by line.

    Returns:
        The page.

    Raises:
        UserError: a folder, budget, size or checkpoint that cannot work.
    """
    if method not in METHODS or model not in MODELS:
        raise UserError(
            f'method must be one of {", ".join(METHODS)} and model one of {", ".join(MODELS)}, '
            f'got {method} and {model}'
        )
    if epochs is not None and steps is not None:
        raise UserError('give epochs or steps, not both')
    name = f'{Path(folder).resolve().name}-{method}'
    place = Path(out) if out else Path('work_dirs', name)
    plan = place / PLAN
    config = plan / CONFIG
    if config.is_file():
        report(f'{config} exists: the run is continued; for another one give --out')
    else:
        found = survey(folder)
        report(found.describe())
        shape = choose_shape(found.shorter_side, image_size)
        width = MODELS[model][0]
        if workers is None:
            workers = max(1, len(os.sched_getaffinity(0)) - 1)

        def text(recipe: FolderRecipe | None) -> str:
            return config_text(found, method, model, shape, recipe, plan, init, workers)

        write_lists(found, plan, choose_batch(len(found.images)))
        report('measuring some steps')
        rate = measure_rate(text(None), init)
        recipe = choose_recipe(
            len(found.images), shape, width, rate=rate,
            seconds=seconds_of(budget), epochs=epochs, steps=steps,
        )  # fmt: skip
        report(describe(recipe, shape, method, model, rate))
        if init is None and len(found.images) < FROM_SCRATCH:
            report(
                f'from scratch, {len(found.images)} images teach little: weights from elsewhere '
                '(--init FILE: of MAE, DINO, timm, Hugging Face, ...) are the better start'
            )
        write_atomic(config, text(recipe))
        write_atomic(plan / 'recipe.json', json.dumps(asdict(recipe), indent=1) + '\n')
    if not (place / 'result.json').is_file():
        # MMEngine's log goes to its file; errors and the progress bar go to stderr.
        with open(os.devnull, 'w') as nowhere, redirect_stdout(nowhere):
            train(
                config, work_dir=place, resume=True, seed=seed,
                backbone=str(init) if init else None,
            )  # fmt: skip
    show_embeddings(place, report)
    page = collect([place], place / 'report').page
    report(f'page: {page}')
    checkpoint = max(place.glob('epoch_*.pth'), key=lambda path: int(path.stem[6:]))
    report(f'next: symmim export {checkpoint} encoder --format timm')
    report(f'or any transfer: symmim train configs/... --backbone {checkpoint}')
    return page


def write_lists(found: FolderSurvey, plan: Path, batch: int) -> None:
    """Write ``train.txt`` and ``held_out.txt``: every so many images are held out."""
    images = [path for path in found.images if path not in found.unreadable]
    held = max(8, min(64, len(images) // 20))
    chosen = {images[number * len(images) // held] for number in range(held)}
    trained = [path for path in images if path not in chosen]
    if len(trained) < batch:
        raise UserError(f'{found.root}: {len(trained)} images are less than one batch of {batch}')
    write_atomic(plan / 'train.txt', '\n'.join(trained) + '\n')
    write_atomic(plan / 'held_out.txt', '\n'.join(sorted(chosen)) + '\n')


def config_text(
    found: FolderSurvey,
    method: str,
    model: str,
    shape: Shape,
    recipe: FolderRecipe | None,
    plan: Path,
    init: str | Path | None,
    workers: int,
) -> str:
    """Return the config of a run, as one would write it by hand.

    Args:
        found: the images.
        method: as of :func:`pretrain`.
        model: likewise.
        shape: of its images.
        recipe: None for the run whose steps are timed.
        plan: where ``train.txt`` and ``held_out.txt`` lie.
        init: checkpoint that the run starts from.
        workers: loader processes.
    """
    width, layers, heads = MODELS[model]
    batch = recipe.batch if recipe else choose_batch(len(found.images))
    crop = recipe.crop if recipe else 0.4
    base = 'vit_b_sparse_pretrain' if method == 'symmim' else 'vit_b_pretrain'
    decoder = dict(depth=2, embed_dims=192, num_heads=3)
    backbone = dict(
        arch=dict(
            _delete_=True,
            embed_dims=width,
            num_layers=layers,
            num_heads=heads,
            feedforward_channels=4 * width,
        ),
        img_size=shape.image,
        patch_size=shape.patch,
        drop_path_rate=0.0,
    )
    settings: dict = dict(
        backbone=backbone,
        data_preprocessor=dict(mean=list(found.mean), std=list(found.std)),
    )
    if method == 'mae':
        settings['neck'] = dict(
            num_patches=shape.patches, patch_size=shape.patch, embed_dim=width,
            decoder_embed_dim=192, decoder_depth=2, decoder_num_heads=3,
        )  # fmt: skip
        settings['head'] = dict(patch_size=shape.patch)
    if method == 'symmim':
        # Visible patches only, a small decoder, normalized pixels and little contrast: see
        # docs/evidence.md, condition checkerboard_contrast.
        settings['head'] = dict(loss='l2', norm_pix=True, decoder=decoder)
        settings['contrast'] = dict(hidden_dims=512, out_dims=64)
        settings['contrast_weight'] = 0.1
        settings['momentum'] = dict(start=recipe.momentum if recipe else 0.99)

    def dataset(name: str) -> dict:
        return dict(data_root=str(found.root), data_prefix='', ann_file=str(plan.resolve() / name))

    crops = [
        dict(type='symmim_mm.LoadRandomResizedCrop', scale=shape.image,
             crop_ratio_range=(crop, 1.0), flip_prob=0.5),
        dict(type='mmpretrain.PackInputs'),
    ]  # fmt: skip
    center = [
        dict(type='symmim_mm.LoadImageStrict'),
        dict(type='mmpretrain.ResizeEdge', scale=shape.image, edge='short'),
        dict(type='mmpretrain.CenterCrop', crop_size=shape.image),
        dict(type='mmpretrain.PackInputs'),
    ]
    held_out = dict(
        type='symmim_mm.ImageFolder', with_label=False, pipeline=center, **dataset('held_out.txt')
    )
    parts = dict(
        run=dict(dataset=found.root.name),
        custom_hooks=[dict(type='symmim_mm.ProgressHook')],
        model=settings,
        train_dataloader=dict(
            num_workers=workers, persistent_workers=workers > 0,
            dataset=dict(pipeline=crops, **dataset('train.txt')),
        ),
        recipe=dict(
            _delete_=True,
            epochs=recipe.epochs if recipe else 1,
            batch=batch,
            lr=recipe.lr if recipe else 1e-4,
            lr_batch=batch,
            warmup_epochs=recipe.warmup_epochs if recipe else 0,
            min_lr=1e-5,
        ),
        optim_wrapper=dict(optimizer=dict(betas=(0.9, 0.95))),
        default_hooks=dict(
            checkpoint=dict(interval=max(1, recipe.epochs // 10) if recipe else 1),
            logger=dict(interval=10),
            health=dict(dataset=held_out),
            images=dict(type='symmim_mm.ImagesHook', kind='reconstruction', dataset=held_out),
        ),
    )  # fmt: skip
    lines = [
        f'# {method} on {found.root}: {len(found.images)} images. Written by `symmim pretrain`; '
        'change it and train with',
        f'# `tools/train.py {plan / CONFIG}`' + (f' --backbone {init}' if init else ''),
        f'_base_ = [{str(CONFIGS / method / (base + ".py"))!r}]',
    ]
    return '\n'.join([*lines, *(f'{key} = {value!r}' for key, value in parts.items()), ''])


def describe(recipe: FolderRecipe, shape: Shape, method: str, model: str, rate: float) -> str:
    """Return the plan, in lines."""
    seconds = recipe.steps * recipe.batch / rate
    end = time.strftime('%H:%M on %d %b', time.localtime(time.time() + seconds))
    return (
        f'{method}, {model}, {shape.image} pixels in patches of {shape.patch}\n'
        f'{recipe.epochs} epochs, {recipe.steps} steps of {recipe.batch} images, learning rate '
        f'{recipe.lr:g}, {recipe.held_out} images held out\n'
        f'{rate:.1f} images a second: {seconds / 60:.0f} minutes, until {end}'
    )


class _Stop(Exception):
    """Ends the timed steps."""


class _TimerHook(Hook):
    def __init__(self) -> None:
        self.times: list[float] = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        float((outputs or {})['loss'].detach())  # waits for the device
        self.times.append(time.perf_counter())
        if len(self.times) > TIMED_STEPS:
            raise _Stop


def measure_rate(text: str, init: str | Path | None) -> float:
    """Train some steps of a config in a folder that is removed; return images per second."""
    timer = _TimerHook()
    with tempfile.TemporaryDirectory(prefix='symmim-timed-') as folder:
        path = Path(folder, CONFIG)
        path.write_text(text)
        cfg = configure(path, work_dir=folder, backbone=str(init) if init else None)
        cfg.default_hooks.health = cfg.default_hooks.images = None
        cfg.custom_hooks = [hook for hook in cfg.custom_hooks if 'Progress' not in hook.type]
        batch = cfg.train_dataloader.batch_size
        with (
            open(os.devnull, 'w') as nowhere,
            redirect_stdout(nowhere),
            launched_runner(cfg, 'none') as runner,
        ):
            runner.register_hook(timer)
            with suppress(_Stop):
                runner.train()
    steps = len(timer.times) - 1
    if steps < 1:
        raise UserError('an epoch has less than two steps: give more images')
    return batch * steps / (timer.times[-1] - timer.times[0])
