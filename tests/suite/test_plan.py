"""What a suite file may say, and which runs count as finished."""

import json
from pathlib import Path

import pytest
from paths import ROOT

from symmim_mm.config.hash import config_sha256
from symmim_mm.results.record import Record
from symmim_mm.suite.finished import MARKER, pending, wanted
from symmim_mm.suite.graph import command, load_suite
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


def load(root: Path):
    return load_suite(root / 'suite.yaml', root)


def finish(root: Path, name: str | None = None) -> None:
    """Leave a fitting record for each run that is not finished (or for one of them)."""
    while waiting := [run for run in pending(load(root)) if name in (None, run.name)]:
        run = waiting[0]
        folder = Path(run.folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'last.pth').write_text(run.name)
        want = wanted(run, None)
        Record(
            schema=1,
            run=run.name,
            method=run.method,
            arch='tiny',
            task=run.task,
            dataset='sample',
            config=run.config,
            config_sha256=run.config_sha256,
            checkpoint='last.pth',
            checkpoint_sha256=file_sha256(folder / 'last.pth'),
            backbone_sha256=want.backbone_sha256,
            seed=run.seed,
            metrics={},
            hardware={},
            versions={},
            duration_s=1,
            started='2026-01-01T00:00:00Z',
            finished='2026-01-01T00:00:01Z',
        ).write(folder)


def names(root: Path) -> list[str]:
    return [run.name for run in pending(load(root))]


def test_order_and_names(tmp_path):
    root = project(tmp_path, seeds=[0, 3])
    runs = load(root).runs
    assert [run.name for run in runs][:4] == [
        'symmim-pretrain-seed0',
        'mae-pretrain-seed0',
        'symmim-pretrain-seed3',
        'mae-pretrain-seed3',
    ]
    assert len(runs) == 2 * (2 + 3 * 2)
    by_name = {run.name: run for run in runs}
    assert by_name['mae-knn-seed3'].parent == 'mae-pretrain-seed3'
    assert by_name['mae-knn-seed3'].tool == 'tools/knn.py'
    assert by_name['random-finetune-seed0'].parent is None
    assert by_name['random-finetune-seed0'].tool == 'tools/train.py'


def test_command(tmp_path):
    root = project(tmp_path)
    by_name = {run.name: run for run in load(root).runs}
    words = command(by_name['mae-finetune-seed0'], root, str(root / 'work_dirs/x.pth'), True)
    assert words[1:] == [
        'tools/train.py',
        'configs/finetune.py',
        '--work-dir',
        'work_dirs/small/mae-finetune-seed0',
        '--seed',
        '0',
        '--backbone',
        'work_dirs/x.pth',
        '--resume',
    ]
    # The evaluation of frozen features knows no --resume.
    assert '--resume' not in command(by_name['mae-knn-seed0'], root, 'x.pth', True)
    assert '--backbone' not in command(by_name['random-knn-seed0'], root, None)


def test_finished_runs_are_skipped_and_file_times_do_not_matter(tmp_path):
    root = project(tmp_path)
    assert len(names(root)) == 8
    finish(root)
    assert names(root) == []
    for path in root.rglob('*'):
        path.touch()
    assert names(root) == []


def test_a_comment_changes_nothing_but_a_value_does(tmp_path):
    root = project(tmp_path)
    finish(root)
    config = root / 'configs/knn.py'
    config.write_text('# a comment\n' + config.read_text())
    assert names(root) == []
    config.write_text("name = 'other'\n")
    assert names(root) == ['symmim-knn-seed0', 'mae-knn-seed0', 'random-knn-seed0']


def test_a_changed_pretraining_reruns_what_depends_on_it(tmp_path):
    root = project(tmp_path)
    finish(root)
    (root / 'configs/mae.py').write_text("name = 'mae, longer'\n")
    assert names(root) == ['mae-pretrain-seed0', 'mae-finetune-seed0', 'mae-knn-seed0']


def test_a_new_checkpoint_of_the_same_config_reruns_the_transfers(tmp_path):
    root = project(tmp_path)
    finish(root)
    folder = root / 'work_dirs/small/mae-pretrain-seed0'
    (folder / 'last.pth').write_text('trained again')
    assert 'mae-pretrain-seed0' in names(root)  # the record names another file
    record = Record.read(folder / 'result.json')
    record.checkpoint_sha256 = file_sha256(folder / 'last.pth')
    record.write(folder)
    assert names(root) == ['mae-finetune-seed0', 'mae-knn-seed0']


@pytest.mark.parametrize('harm', ['delete', 'truncate', 'seed', 'checkpoint'])
def test_a_damaged_result_is_not_finished(tmp_path, harm):
    root = project(tmp_path)
    finish(root)
    folder = root / 'work_dirs/small/symmim-pretrain-seed0'
    path = folder / 'result.json'
    if harm == 'delete':
        path.unlink()
    elif harm == 'truncate':
        path.write_text(path.read_text()[:100])
    elif harm == 'seed':
        record = Record.read(path)
        record.seed = 7
        record.write(folder)
    else:
        (folder / 'last.pth').unlink()
    assert names(root) == ['symmim-pretrain-seed0', 'symmim-finetune-seed0', 'symmim-knn-seed0']


def test_other_data_rerun_what_the_suite_made_but_not_what_was_made_by_hand(tmp_path):
    root = project(tmp_path)
    finish(root)
    folder = root / 'work_dirs/small/random-knn-seed0'
    (folder / MARKER).write_text(json.dumps({'config_sha256': '', 'seed': 0}))
    assert names(root) == ['random-knn-seed0']


def test_unfinished_data_make_every_run_pending(tmp_path):
    root = project(tmp_path)
    finish(root)
    text = json.loads((root / 'suite.yaml').read_text())
    text['data'] = {'generator': ['tools/make_data.py', 'data']}
    (root / 'suite.yaml').write_text(json.dumps(text))
    assert len(names(root)) == 8


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'methods': {}}, 'methods must map'),
        ({'methods': {'a b': None}}, "method 'a b'"),
        ({'methods': {'../up': None}}, "method '../up'"),
        ({'methods': {'symmim': 'configs/none.py'}}, 'no such config file: configs/none.py'),
        ({'transfers': {'pretrain': 'configs/knn.py'}}, "unknown transfer 'pretrain'"),
        ({'transfers': {'knn': None}}, 'transfer knn'),
        ({'seeds': []}, 'seeds must be'),
        ({'seeds': [1, 1]}, 'seeds must be'),
        ({'seeds': ['x']}, 'seeds must be'),
        ({'name': '../x'}, 'name must be'),
        ({'transfer': {}}, 'unknown key transfer'),
        ({'data': {'generator': ['only_a_tool.py']}}, 'data.generator'),
    ],
)
def test_mistakes_in_a_suite_file_are_one_line(tmp_path, changes, message):
    root = project(tmp_path, **changes)
    with pytest.raises(UserError, match='suite.yaml') as error:
        load(root)
    assert message in str(error.value)


def test_no_file_and_no_yaml(tmp_path):
    with pytest.raises(UserError, match='cannot read'):
        load_suite(tmp_path / 'none.yaml', tmp_path)
    (tmp_path / 'bad.yaml').write_text('a: [')
    with pytest.raises(UserError, match='not a YAML file'):
        load_suite(tmp_path / 'bad.yaml', tmp_path)


def test_the_suites_of_the_project_load():
    root = Path(__file__).resolve().parents[2]
    found = sorted((root / 'configs/suites').glob('*.yaml'))
    assert found
    for path in found:
        suite = load_suite(path, root)
        assert {run.task for run in suite.runs} == {
            'pretrain',
            'finetune',
            'linear',
            'knn',
            'detection',
            'segmentation',
        }


def test_size_gpus_and_mixed_precision(tmp_path):
    root = project(
        tmp_path,
        name='by_{size}',
        size='b',
        gpus=8,
        amp=True,
        methods={'mae': 'configs/mae_{size}.py'},
    )
    for size in 'bl':
        (root / f'configs/mae_{size}.py').write_text(f"name = '{size}'\n")
    assert load(root).name == 'by_b'
    suite = load_suite(root / 'suite.yaml', root, size='l')
    pretrain, finetune, knn = suite.runs
    assert suite.name == 'by_l' and suite.gpus == 8 and pretrain.config == 'configs/mae_l.py'
    # The record of a run in mixed precision carries the option in its hash.
    assert pretrain.config_sha256 == config_sha256(root / pretrain.config, ['--amp=True'])
    assert command(finetune, root, 'x.pth', True) == [
        'bash',
        'tools/dist_train.sh',
        'configs/finetune.py',
        '8',
        '--work-dir',
        'work_dirs/by_l/mae-finetune-seed0',
        '--seed',
        '0',
        '--backbone',
        'x.pth',
        '--amp',
        '--resume',
    ]
    # Frozen features are judged in one process, with the hash of the config alone.
    assert command(knn, root, 'x.pth')[1:3] == ['tools/knn.py', 'configs/knn.py']
    assert '--amp' not in command(knn, root, 'x.pth')
    assert knn.config_sha256 == config_sha256(root / 'configs/knn.py')


def test_a_linear_probe_is_trained_unless_its_config_evaluates(tmp_path):
    root = project(tmp_path, transfers={'linear': 'configs/linear.py'})
    (root / 'configs/linear.py').write_text("name = 'linear'\n")
    assert {run.tool for run in load(root).runs} == {'tools/train.py'}
    (root / 'configs/linear.py').write_text('evaluation = dict()\n')
    assert {run.tool for run in load(root).runs} == {'tools/train.py', 'tools/linear.py'}


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(gpus='all'), 'whole number'),
        (dict(gpus=-1), 'whole number'),
        (dict(amp='bf16'), 'true or false'),
        (dict(size='b'), 'no {size}'),
    ],
)
def test_bad_size_gpus_and_precision(tmp_path, change, words):
    with pytest.raises(UserError, match=words):
        load(project(tmp_path, **change))


SUITES = sorted((ROOT / 'configs/suites').glob('*.yaml'))


@pytest.mark.parametrize('path', SUITES, ids=lambda path: path.stem)
def test_every_suite_of_the_repository_loads(path):
    for size in ('s', 'b', 'l') if '{size}' in path.read_text() else (None,):
        suite = load_suite(path, ROOT, size=size)
        assert {run.task for run in suite.runs} == {
            'pretrain',
            'finetune',
            'linear',
            'knn',
            'detection',
            'segmentation',
        }
