"""What a suite file may say, and which runs count as finished."""

import json
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from make_runs import record

from symmim_mm.config.hash import config_sha256
from symmim_mm.results.record import Record
from symmim_mm.suite.file import PROGRAM, load_suite
from symmim_mm.suite.finished import MARKER, pending, wanted
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256


def project(folder: Path, **changes: object) -> Path:
    """A project root with two methods, two transfers and a suite file."""
    (folder / 'configs').mkdir(parents=True)
    for name in ('symmim', 'mae', 'finetune', 'knn'):
        text = f"name = '{name}'\n" + 'evaluation = dict()\n' * (name == 'knn')
        (folder / f'configs/{name}.py').write_text(text)
    suite = {
        'name': 'small',
        'seeds': [0],
        'methods': {'symmim': 'configs/symmim.py', 'mae': 'configs/mae.py', 'random': None},
        'transfers': {'finetune': 'configs/finetune.py', 'knn': 'configs/knn.py'},
    } | changes
    (folder / 'suite.yaml').write_text(json.dumps(suite))
    return folder


def load(root: Path, **options: object):
    return load_suite(root / 'suite.yaml', root=root, **options)


def runs_by_name(root: Path) -> dict:
    return {run.name: run for run in load(root).runs}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A project with a fitting record for each run."""
    root = project(tmp_path)
    while waiting := pending(load(root)):
        run = waiting[0]
        run.folder.mkdir(parents=True)
        (run.folder / 'last.pth').write_text(run.name)
        backbone = wanted(run, None)['backbone_sha256']
        record(
            run.method, run.task, run.seed, run=run.name, config=run.config,
            config_sha256=run.config_sha256, backbone_sha256=backbone,
            checkpoint_sha256=file_sha256(run.folder / 'last.pth'),
        ).write(run.folder)  # fmt: skip
    return root


def names(root: Path) -> list[str]:
    return [run.name for run in pending(load(root))]


def test_order_and_names(tmp_path):
    root = project(tmp_path, seeds=[0, 3])
    by_name = runs_by_name(root)
    order = [
        'symmim-pretrain', 'symmim-finetune', 'symmim-knn', 'mae-pretrain', 'mae-finetune',
        'mae-knn', 'random-finetune', 'random-knn',
    ]  # fmt: skip
    assert list(by_name) == [f'{name}-seed{seed}' for seed in (0, 3) for name in order]
    assert by_name['mae-knn-seed3'].parent.name == 'mae-pretrain-seed3'
    assert by_name['mae-knn-seed3'].command == 'knn'
    assert by_name['random-finetune-seed0'].parent is None
    assert by_name['random-finetune-seed0'].command == 'train'


def test_several_transfers_of_one_task(tmp_path):
    transfers = {'finetune.labels_1': 'configs/finetune.py', 'finetune': 'configs/finetune.py'}
    runs = load(project(tmp_path, transfers=transfers, methods={'random': None})).runs
    assert [(run.name, run.task) for run in runs] == [
        ('random-finetune.labels_1-seed0', 'finetune'), ('random-finetune-seed0', 'finetune'),
    ]  # fmt: skip


def test_command(tmp_path):
    root = project(tmp_path, data={'generator': ['sample-data', 'data', 3]})
    suite, by_name = load(root), runs_by_name(root)
    words = suite.command(by_name['mae-finetune-seed0'], root / 'work_dirs/x.pth', True)
    assert words == [
        *PROGRAM, 'train', 'configs/finetune.py', '--work-dir',
        'work_dirs/small/mae-finetune-seed0', '--seed', '0', '--backbone', 'work_dirs/x.pth',
        '--resume',
    ]  # fmt: skip
    # The evaluation of frozen features knows no --resume.
    assert '--resume' not in suite.command(by_name['mae-knn-seed0'], 'x.pth', True)
    assert '--backbone' not in suite.command(by_name['random-knn-seed0'], None)
    assert suite.data_command() == [*PROGRAM, 'sample-data', 'data', '3']
    (tmp_path / 'other').mkdir()
    other = load(project(tmp_path / 'other', data={'generator': ['tools/make.py', 'data']}))
    assert other.data_command() == [sys.executable, 'tools/make.py', 'data']


def test_finished_runs_are_skipped_and_file_times_do_not_matter(finished, monkeypatch):
    count = Mock(side_effect=file_sha256)
    monkeypatch.setattr('symmim_mm.suite.finished.file_sha256', count)
    for path in finished.rglob('*'):
        path.touch()
    assert names(finished) == []
    assert count.call_count == 2  # of two checkpoints, which have gigabytes


SYMMIM, MAE = (
    [f'{method}-{part}-seed0' for part in ('pretrain', 'finetune', 'knn')]
    for method in ('symmim', 'mae')
)
RESULT = 'work_dirs/small/symmim-pretrain-seed0/result.json'


@pytest.mark.parametrize(
    ('file', 'change', 'unfinished'),
    [
        ('configs/knn.py', lambda text: f'# a comment\n{text}', []),
        ('configs/knn.py', lambda _: "name = 'other'\n",
         ['symmim-knn-seed0', 'mae-knn-seed0', 'random-knn-seed0']),
        ('configs/mae.py', lambda _: "name = 'mae, longer'\n", MAE),
        (RESULT, lambda _: '', SYMMIM),
        (RESULT, lambda text: text[:100], SYMMIM),
        (RESULT, lambda text: text.replace('"seed": 0', '"seed": 7'), SYMMIM),
        (RESULT, lambda text: text.replace('last.pth', 'none.pth'), SYMMIM),
        ('work_dirs/small/symmim-pretrain-seed0/last.pth', lambda _: 'trained again', SYMMIM),
        # Other data than those that the suite started it with; by hand it leaves no marker.
        (f'work_dirs/small/random-knn-seed0/{MARKER}', lambda _: '{"seed": 0}',
         ['random-knn-seed0']),
        ('suite.yaml', lambda text: text[:-1] + ', "data": {"generator": ["make.py", "data"]}}',
         [*SYMMIM, *MAE, 'random-finetune-seed0', 'random-knn-seed0']),
    ],
)  # fmt: skip
def test_what_is_made_again_after_a_change(finished, file, change, unfinished):
    path = finished / file
    path.write_text(change(path.read_text() if path.exists() else ''))
    assert names(finished) == unfinished


def test_a_new_checkpoint_of_the_same_config_reruns_the_transfers(finished):
    folder = finished / 'work_dirs/small/mae-pretrain-seed0'
    (folder / 'last.pth').write_text('trained again')
    item = Record.read(folder / 'result.json')
    item.checkpoint_sha256 = file_sha256(folder / 'last.pth')
    item.write(folder)
    assert names(finished) == MAE[1:]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'methods': {}}, 'methods: Dictionary should have at least 1 item'),
        ({'methods': {'a b': None}}, 'methods.a b.[key]: String should match pattern'),
        ({'methods': {'../up': None}}, 'methods.../up.[key]: String should match pattern'),
        ({'methods': {'symmim': 'configs/none.py'}}, 'no such config file: configs/none.py'),
        ({'transfers': {'pretrain': 'configs/knn.py'}}, 'transfers.pretrain.[key]: String should'),
        ({'transfers': {'knn': None}}, 'transfers.knn: should be a valid string, got None'),
        ({'seeds': []}, 'seeds: List should have at least 1 item'),
        ({'seeds': [1, 1]}, 'seeds: should be different integers, got [1, 1]'),
        ({'seeds': ['x']}, "seeds.0: should be a valid integer, got 'x'"),
        ({'name': '../x'}, 'name: String should match pattern'),
        ({'transfer': {}}, 'unknown field: transfer'),
        ({'data': {'generator': ['a_tool.py']}}, 'data.generator: List should have at least 2'),
        ({'gpus': 'all'}, "gpus: should be a valid integer, got 'all'"),
        ({'gpus': -1}, 'gpus: should be greater than or equal to 0'),
        ({'gpus': 8}, 'gpus needs tools/dist_train.sh: run the suite in a clone'),
        ({'amp': 'bf16'}, "amp: should be a valid boolean, got 'bf16'"),
        ({'size': 'b'}, 'there is no {size} for a size to replace'),
        ({'slurm': {'partition; rm': 'x'}}, 'slurm.partition; rm.[key]: String should match'),
    ],
)
def test_mistakes_in_a_suite_file_are_one_line(tmp_path, changes, message):
    with pytest.raises(UserError, match='suite.yaml') as error:
        load(project(tmp_path, **changes))
    assert message in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, 'cannot read'), ('a: [', 'not a YAML file'), ('3', 'dictionary'),
        ('transfers: {knn: a.py, finetune: b.py, knn: c.py}', 'knn is stated twice'),
        ('name: x\nmethods: {a: {config: b.py, options: {c: "(1,"}}}', 'Imbalanced brackets'),
    ],
)  # fmt: skip
def test_a_file_that_is_no_suite(tmp_path, text, message):
    if text:
        (tmp_path / 'suite.yaml').write_text(text)
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_size_gpus_and_mixed_precision(tmp_path):
    root = project(
        tmp_path, name='by_{size}', size='b', gpus=8, amp=True,
        methods={'mae': 'configs/mae_{size}.py'},
    )  # fmt: skip
    (root / 'tools').mkdir()
    (root / 'tools/dist_train.sh').touch()
    for size in 'bl':
        (root / f'configs/mae_{size}.py').write_text(f"name = '{size}'\n")
    assert load(root).name == 'by_b'
    suite = load(root, size='l')
    pretrain, finetune, knn = suite.runs
    assert suite.name == 'by_l' and pretrain.config == 'configs/mae_l.py'
    # The record of a run in mixed precision carries the option in its hash.
    assert pretrain.config_sha256 == config_sha256(root / pretrain.config, ['--amp=True'])
    assert suite.command(finetune, 'x.pth', True) == [
        'bash', 'tools/dist_train.sh', 'configs/finetune.py', '8', '--work-dir',
        'work_dirs/by_l/mae-finetune-seed0', '--seed', '0', '--backbone', 'x.pth', '--amp',
        '--resume',
    ]  # fmt: skip
    # Frozen features are evaluated in one process, with the hash of the config alone.
    words = suite.command(knn, 'x.pth')
    assert words[: len(PROGRAM) + 2] == [*PROGRAM, 'knn', 'configs/knn.py'] and '--amp' not in words
    assert knn.config_sha256 == config_sha256(root / 'configs/knn.py')


def test_a_linear_probe_is_trained_unless_its_config_evaluates(tmp_path):
    root = project(tmp_path, transfers={'linear': 'configs/linear.py'})
    (root / 'configs/linear.py').write_text("name = 'linear'\n")
    assert {run.command for run in load(root).runs} == {'train'}
    (root / 'configs/linear.py').write_text('evaluation = dict()\n')
    assert {run.command for run in load(root).runs} == {'train', 'linear'}


def test_a_time_of_slurm_is_no_number_in_base_60(tmp_path):
    root = project(tmp_path)
    text = 'name: small\nmethods: {mae: configs/mae.py}\nslurm: {time: 24:00:00, mem: 4000}\n'
    (root / 'suite.yaml').write_text(text)
    assert load(root).slurm == {'time': '24:00:00', 'mem': 4000}


def test_options_of_a_method(tmp_path):
    """They are those of the record, whose values have been read from a command line."""
    options = {'b': None, 'a.lr': '1e-3', 'c': True, 'd.betas': '(.9,.95)', 'e': 'x,y'}
    method = {'config': 'configs/mae.py', 'options': options}
    root = project(tmp_path, methods={'low': method, 'mae': 'configs/mae.py'})
    runs = runs_by_name(root)
    low = runs['low-pretrain-seed0']
    options = ['a.lr=0.001', 'b=None', 'c=True', 'd.betas=(0.9, 0.95)', "e=['x', 'y']"]
    assert low.config_sha256 == config_sha256(root / low.config, options)
    assert low.config_sha256 != runs['mae-pretrain-seed0'].config_sha256
    assert load(root).command(low, None, True)[-7:] == ['--resume', '--cfg-options', *options]
    assert '--cfg-options' not in load(root).command(runs['low-knn-seed0'], 'x.pth')
