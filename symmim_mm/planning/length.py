"""Number of training images of a run, and its length in micro-batches, steps and epochs."""

import copy
import inspect
import math
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from symmim_mm.config.classes import inner_dataset
from symmim_mm.config.load import data_problems
from symmim_mm.datasets.label_share import share_of_labels, use_label_share
from symmim_mm.datasets.sample.generate import write_sample_data
from symmim_mm.engine.data_check import few_images

# Training images by `run.dataset`, and the source of the number.
KNOWN = {
    'imagenet-1k': (1_281_167, 'ILSVRC 2012 training set'),
    'coco-2017': (117_266, 'COCO train2017: those of its 118,287 images that have annotations'),
    'ade20k': (20_210, 'ADE20K training set of the Scene Parsing Challenge 2016'),
    'cifar10': (50_000, 'CIFAR-10 training set'),
    'cifar10, 1 % of the labels': (500, '50 of each class of the CIFAR-10 training set'),
    'cifar10, 10 % of the labels': (5_000, '500 of each class of the CIFAR-10 training set'),
    'tiny-coco': (49, 'those of 50 images of COCO train2017 that have annotations'),
    'imagenet-sample': (400, 'a sample of the ILSVRC 2012 training set'),
}
# Of the generated data: parameters of the function that generates them.
SAMPLE = {
    'detection': 'coco_train', 'segmentation': 'ade_train', 'linear_segmentation': 'ade_train',
}  # fmt: skip


@dataclass(frozen=True)
class TrainingImages:
    """Number of training images of a run."""

    dataset: str  # run.dataset of the config
    count: int | None  # None if the data are neither present nor known
    source: str  # of the count
    problem: str | None  # one line on what is absent; None if nothing is


def training_images(cfg: Config) -> TrainingImages:
    """Count the images that the training loader of a config reads in one epoch.

    Present data are counted as in training: folders are listed and annotations read, images are
    not opened.
    """
    name = cfg.run.dataset
    problem = next(iter(data_problems(cfg)), None)
    absent = next(iter(data_problems(cfg, ('train_dataloader',))), None)
    if absent is None:
        return TrainingImages(name, _count(cfg), 'counted', problem)
    if name in KNOWN:
        count, source = KNOWN[name]
    elif name == 'sample':
        counts = inspect.signature(write_sample_data).parameters
        count = counts[SAMPLE.get(cfg.run.task, 'train')].default
        source = 'what tools/make_sample_data.py draws'
    else:
        return TrainingImages(name, None, 'unknown while the data are absent', problem)
    labels = inner_dataset(cfg.train_dataloader.dataset).get('labels')
    if labels is not None and 'of the labels' not in name:
        start, stop = share_of_labels(labels)
        count, source = round(count * (stop - start)), f'about {stop - start:.3g} of: {source}'
    return TrainingImages(name, count, source, problem)


def _count(cfg: Config) -> int:
    settings = copy.deepcopy(cfg.train_dataloader.dataset)
    scope = DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain'))
    with scope, TemporaryDirectory() as folder:
        if settings.type.endswith('ImageFolder'):
            settings.index_cache = folder  # a dry run leaves nothing behind
        return len(DATASETS.build(use_label_share(settings)))


@dataclass(frozen=True)
class Length:
    """Length of a training."""

    epoch_length: int  # micro-batches of one process in an epoch, the length of its loader
    iterations: int  # micro-batches of one process in the run, MMEngine's iterations
    steps: int  # optimizer steps
    epochs: float | None  # passes over the images; None if their number is not known
    images_seen: int  # over all processes, repeated ones included


def run_length(cfg: Config, images: int | None, processes: int) -> Length | None:
    """Return the length of the run of a config to which its recipe was applied.

    None if it is in epochs and the number of ``images`` is not known, and for configs that train
    nothing.

    Raises:
        UserError: fewer images than an optimizer step takes, as a training would refuse.
    """
    if 'evaluation' in cfg:
        return None
    batch, drop_last = (cfg.train_dataloader.get(key) for key in ('batch_size', 'drop_last'))
    accumulation = cfg.optim_wrapper.get('accumulative_counts', 1)
    by_epoch = 'max_epochs' in cfg.train_cfg
    if by_epoch and images is None:
        return None
    epoch_length = 0
    if images is not None:
        # MMEngine's DefaultSampler gives every process the same number, repeating some images.
        share = math.ceil(images / processes)
        epoch_length = share // batch if drop_last else math.ceil(share / batch)
        if by_epoch and epoch_length < accumulation:
            raise few_images(images, batch * accumulation * processes)
    iterations = cfg.train_cfg.max_epochs * epoch_length if by_epoch else cfg.train_cfg.max_iters
    seen = iterations * batch * processes
    if by_epoch and not drop_last:
        seen = cfg.train_cfg.max_epochs * share * processes
    epochs = seen / images if images else None
    return Length(
        epoch_length=epoch_length,
        iterations=iterations,
        steps=math.ceil(iterations / accumulation),  # the last window may be shorter
        epochs=float(cfg.train_cfg.max_epochs) if by_epoch else epochs,
        images_seen=seen,
    )
