"""The suites of the repository: they load, plan, and keep what they promise."""

import argparse

import pytest
from mmengine.config import Config
from paths import ROOT

from symmim_mm.cli.training import OptionsAction
from symmim_mm.config import TASKS
from symmim_mm.config.load import load_config
from symmim_mm.planning.costs import flops_per_image
from symmim_mm.planning.fake_model import build_without_storage
from symmim_mm.suite.file import Run, load_suite

SUITES = sorted((ROOT / 'configs/suites').glob('*.yaml'))


@pytest.mark.parametrize('path', SUITES, ids=lambda path: path.stem)
def test_every_suite_of_the_repository_loads(path):
    planned = set()  # seeds differ in nothing that a plan shows
    for size in ('s', 'b', 'l') if '{size}' in path.read_text() else (None,):
        suite = load_suite(path, root=ROOT, size=size)
        tasks = {run.task for run in suite.runs}
        assert tasks >= {'pretrain', 'linear', 'knn'}
        for run in suite.runs:
            if run.task == 'pretrain' and (run.config, run.options) not in planned:
                planned.add((run.config, run.options))
                options = dict(text.split('=', 1) for text in run.options)
                cfg = planned_config(run)
                assert cfg.run.method == options.get('run.method', run.method)
                if path.stem == 'controls':  # a step runs, on tensors without values
                    assert flops_per_image(cfg).forward_backward > 0
        some = {'quickstart', 'controls', 'imagenet_lr_sweep'}
        assert tasks == set(TASKS) or 'evidence' in path.stem or path.stem in some


def planned_config(run: Run) -> Config:
    """The config of a pre-training as its command reads it, whose model builds."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='*', action=OptionsAction)
    options = parser.parse_args(['--cfg-options', *run.options]).cfg_options
    cfg = load_config(ROOT / run.config, cfg_options=options, check_data=False)
    changes = [f'{key}={value}' for key, value in sorted((options or {}).items())]
    assert list(run.options) == changes  # or the record would have another hash
    build_without_storage(cfg)
    return cfg


def test_equal_compute_is_equal() -> None:
    """Planned PFLOP of all pre-trainings, within half an epoch of each."""
    runs = load_suite(ROOT / 'configs/suites/imagenet_equal_compute.yaml', root=ROOT).runs
    costs = {}
    for run in runs:
        if run.task == 'pretrain':
            cfg = planned_config(run)
            costs[run.method] = cfg.recipe.epochs * flops_per_image(cfg).forward_backward
    assert len(costs) == 3
    assert max(costs.values()) / min(costs.values()) < 1.003


def test_each_method_keeps_its_clipping() -> None:
    for method in ('symmim', 'mae', 'simmim'):
        own, common = (
            Config.fromfile(ROOT / 'configs' / name).optim_wrapper.clip_grad
            for name in (f'{method}/vit_b_pretrain.py', f'common_budget/{method}_vit_b_pretrain.py')
        )
        assert own == common
