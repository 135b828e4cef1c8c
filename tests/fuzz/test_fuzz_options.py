"""Any options of a command line, any suite file: a right result, or one clear line."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import cases, one_line
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config
from paths import ROOT

from symmim_mm.cli.training import add_run_arguments
from symmim_mm.config.load import load_config
from symmim_mm.suite import file as plan
from symmim_mm.utils.errors import UserError

pytestmark = pytest.mark.slow

KEYS = st.one_of(
    st.sampled_from([
        'model', 'model.type', 'model.backbone', 'model.backbone.img_size', 'run', 'run.task',
        'model.backbone.patch_size', 'train_dataloader', 'train_dataloader.dataset',
        'train_dataloader.dataset.data_root', 'train_dataloader.dataset.data_prefix',
        'train_dataloader.dataset.dataset', 'train_dataloader.dataset.pipeline.0.type',
        'val_dataloader.dataset.ann_file', 'randomness', 'randomness.seed', 'recipe', 'load_from',
        'work_dir', 'resume', 'default_hooks', 'filename', '_base_', '_delete_', 'model._delete_',
        'custom_imports', 'pretty_text', 'x', 'x.y', 'x.0',
    ]),
    st.text(max_size=8), st.text('abm_.0=[', max_size=8),
)  # fmt: skip
WORDS = st.one_of(
    st.sampled_from(['None', 'True', '1', '-1', '0', '224', '1e400', 'nan', '[]', '()', '[(1,2),a]',
                     '),(', '(,)', '[[[[', '1,2', 'https://x', '/', '..', '\0', "''"]),
    st.text(max_size=8), st.text('[](),1a\'" .', max_size=10), st.integers().map(str),
)  # fmt: skip
TEXT = f"""
run = dict(task='pretrain', dataset='x')
model = dict(type='A', backbone=dict(img_size=64, patch_size=8))
train_dataloader = dict(dataset=dict(type='B', data_root='{ROOT}', pipeline=[dict(type='C')]))
val_dataloader = dict(
    dataset=dict(data_prefix=dict(img='{ROOT}/tests'), ann_file='{ROOT}/README.md')
)
randomness = dict(seed=0)
recipe = dict(batch=8)
"""


@pytest.fixture(scope='module')
def small_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A config that is read once, which is slow; later readers get a copy."""
    file = tmp_path_factory.mktemp('config') / 'small.py'
    file.write_text(TEXT)
    cfg = Config.fromfile(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            'symmim_mm.config.load.read_config_file',
            lambda path: Config(cfg.to_dict(), filename=str(path)),
        )
        yield file


@cases(1500)
@given(st.lists(st.tuples(KEYS, WORDS), max_size=3), st.one_of(st.none(), WORDS))
def test_options(small_config: Path, options: list, seed: str | None) -> None:
    """From the words of a command line to a config."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_run_arguments(parser)
    words = [str(small_config)] + ([] if seed is None else [f'--seed={seed}'])
    words += ['--cfg-options', *(f'{key}={value}' for key, value in options)] if options else []
    try:
        args = parser.parse_args(words)
        cfg = load_config(args.config, seed=args.seed, cfg_options=args.cfg_options)
    except UserError as error:
        return one_line(error)
    except (argparse.ArgumentError, SystemExit):
        return None  # the parser's own line
    assert cfg.model and cfg.run.task and isinstance(cfg.randomness.seed, int)
    return None


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.dates(),
    st.binary(max_size=4), st.sampled_from(['{size}', 'a.py', 'config.py', 'finetune', 'symmim']),
)  # fmt: skip
STRUCTURES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(max_size=5), SCALARS.filter(
            lambda value: value == value)), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
SUITE = dict(
    name=st.sampled_from(['suite', 'a.b']),
    seeds=st.lists(st.integers(0, 3), max_size=2),
    methods=st.dictionaries(st.sampled_from(['symmim', 'mae', 'random', '../x', '', 'a b']),
                            st.sampled_from([None, 'config.py', 'none.py', '../x.py']), max_size=2),
    transfers=st.dictionaries(st.sampled_from(['finetune', 'knn', 'pretrain', 'x']),
                              st.sampled_from(['config.py', '/etc/passwd', '']), max_size=2),
    data=st.fixed_dictionaries({'generator': st.lists(SCALARS, max_size=3)}),
    gpus=st.integers(-1, 8), amp=st.booleans(), size=st.sampled_from(['b', 'l', 'x: y', '\n']),
    slurm=st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
)  # fmt: skip


@st.composite
def suites(draw: Any) -> str:
    kind = draw(st.sampled_from(['right', 'right', 'structure', 'text']))
    if kind == 'text':
        return draw(st.one_of(st.text(max_size=60), st.text('-:[]{}&*!|>%@ \nab1~?', max_size=60)))
    if kind == 'structure':
        return yaml.dump(draw(STRUCTURES))
    names = {'name', 'methods'} | draw(st.sets(st.sampled_from(sorted(SUITE))))
    data = {name: draw(SUITE[name]) for name in sorted(names)}
    for name in draw(st.sets(st.sampled_from([*SUITE, 'other']), max_size=2)):
        data[name] = draw(STRUCTURES)
    return yaml.dump(data)


@cases(1000)
@given(suites())
def test_suite_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / 'suites'
    folder.mkdir(exist_ok=True)
    (folder / 'config.py').write_text('model = dict(type="A")')
    (folder / 'suite.yaml').write_text(text, encoding='utf-8', errors='surrogatepass')
    original, plan.read_config = plan.read_config, lambda path: dict(model=dict(type='A'))
    try:
        suite = plan.load_suite(folder / 'suite.yaml', root=folder)
    except UserError as error:
        return one_line(error)
    finally:
        plan.read_config = original
    names = [run.name for run in suite.runs]
    assert len(set(names)) == len(names)
    for run in suite.runs:
        assert Path(run.folder).parent == suite.work_dir
        assert (folder / run.config).is_file()
    assert suite.work_dir.parent == folder.resolve() / 'work_dirs'
    return None
