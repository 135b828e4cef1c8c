"""How many pictures a run trains on: counted where they are, known where they are absent."""

import copy
import inspect
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from symmim_mm.config.load import data_problems
from symmim_mm.datasets.sample.generate import write_sample_data

# Training pictures by `run.dataset`, and where the number comes from.
KNOWN = {
    'imagenet-1k': (1_281_167, 'ILSVRC 2012 training set'),
    'coco-2017': (117_266, 'COCO train2017: those of its 118,287 pictures that have annotations'),
    'ade20k': (20_210, 'ADE20K training set of the Scene Parsing Challenge 2016'),
    'cifar10': (50_000, 'CIFAR-10 training set'),
    'tiny-coco': (49, 'those of 50 pictures of COCO train2017 that have annotations'),
    'imagenet-sample': (400, 'a sample of the ILSVRC 2012 training set'),
}
# The drawn pictures' numbers are the defaults of the function that draws them.
SAMPLE = {'detection': 'coco_train', 'segmentation': 'ade_train'}


@dataclass(frozen=True)
class Pictures:
    """The training pictures of a run.

    Args:
        dataset: ``run.dataset`` of the config.
        count: of them; None where data that are not known are absent.
        source: where the count comes from.
        problem: what is absent, one line; None where everything is there.
    """

    dataset: str
    count: int | None
    source: str
    problem: str | None


def training_pictures(cfg: Config) -> Pictures:
    """Count the pictures that the training loader of a config reads in one epoch.

    Present data are counted as training counts them: folders are listed and annotations read,
    pictures are not opened.
    """
    name = cfg.run.dataset
    problem = next(iter(data_problems(cfg)), None)
    absent = next(iter(data_problems(cfg, ('train_dataloader',))), None)
    if absent is None:
        return Pictures(name, _count(cfg), 'counted', problem)
    if name in KNOWN:
        return Pictures(name, *KNOWN[name], problem)
    if name == 'sample':
        counts = inspect.signature(write_sample_data).parameters
        count = counts[SAMPLE.get(cfg.run.task, 'train')].default
        return Pictures(name, count, 'what tools/make_sample_data.py draws', problem)
    return Pictures(name, None, 'unknown while the data are absent', problem)


def _count(cfg: Config) -> int:
    settings = copy.deepcopy(cfg.train_dataloader.dataset)
    scope = DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain'))
    with scope, TemporaryDirectory() as folder:
        if settings.type.endswith('ImageFolder'):
            settings.index_cache = folder  # a dry run leaves nothing behind
        return len(DATASETS.build(settings))
