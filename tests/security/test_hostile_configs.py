"""Files that look like data and are programs, programs that this project starts, and paths."""

import ast
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from paths import ROOT

from symmim_mm.config.file import read_config_file
from symmim_mm.config.hash import config_sha256
from symmim_mm.config.load import load_config
from symmim_mm.datasets.sample.generate import write_sample_data
from symmim_mm.suite.file import load_suite
from symmim_mm.suite.finished import read_json
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.paths import checkpoint_problem, file_inside

PROGRAM = '!!python/object/apply:builtins.open [{}, w]'


def test_a_yaml_config_runs_code_in_mmengine_and_is_refused_here(tmp_path: Path) -> None:
    marker, file = tmp_path / 'marker', tmp_path / 'config.yaml'
    file.write_text(
        'run: {task: finetune, dataset: x}\nmodel: {type: A}\nx: ' + PROGRAM.format(marker) + '\n'
    )
    for read in (read_config_file, config_sha256, load_config):
        with pytest.raises(UserError, match='is not a .py file: a config is a program'):
            read(file)
        assert not marker.exists()
    with contextlib.suppress(TypeError):  # the open file that the config now holds has no copy
        Config.fromfile(file)  # the file does what it is meant to
    assert marker.exists()


def test_a_config_that_ends_badly_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / 'config.py'
    for text in ('x = 1 / 0', 'x = (', 'x = y', 'raise SystemError("a\\nb")',
                 '_base_ = "none.py"', 'x = [' * 200, '_base_ = 3'):  # fmt: skip
        file.write_text(text)
        with pytest.raises(UserError, match='config.py cannot be read: '):
            read_config_file(file)
    with pytest.raises(UserError, match='does not exist'):
        read_config_file(tmp_path)


def bomb(depth: int = 40) -> str:
    """Aliases of aliases: a few lines that are 2**depth words when they are written out."""
    lines = ['a0: &a0 [x, x]', *(f'a{n}: &a{n} [*a{n - 1}, *a{n - 1}]' for n in range(1, depth))]
    return '\n'.join(lines)


@pytest.mark.parametrize(
    'text',
    [
        'name: ' + PROGRAM.format('marker'),
        'name: !!python/name:os.system ""',
        '!!python/object/new:subprocess.Popen [[touch, marker]]',
        bomb(),
        bomb() + '\nname: x\nmethods: {symmim: null}\nseeds: *a39\n',
        bomb() + '\nname: x\nmethods: {symmim: null}\ndata: {generator: *a39}\n',
        'x: ' + '[' * 5000,
        'x: 2026-99-99',
        'x: !!timestamp y',
        '\x00',
        '{size: x, name: "{size}"}: {}',
    ],
    ids=range(11),
)
def test_suite_files_are_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'suite.yaml').write_text(text)
    with pytest.raises(UserError) as error:
        load_suite(tmp_path / 'suite.yaml', root=tmp_path)
    assert len(str(error.value)) < 2000
    assert not (tmp_path / 'marker').exists()


def test_names_of_a_suite_stay_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / 'c.py').write_text('model = dict(type="A")')
    for change in (dict(name='../x'), dict(name='/x'), dict(name='.'), dict(name='a/b'),
                   dict(methods={'../x': 'c.py'}), dict(methods={'/x': None}),
                   dict(methods={'.x': None})):  # fmt: skip
        data = dict(name='suite', methods=dict(symmim='c.py')) | change
        (tmp_path / 'suite.yaml').write_text(yaml.dump(data))
        with pytest.raises(UserError, match='String should match pattern'):
            load_suite(tmp_path / 'suite.yaml', root=tmp_path)


def test_state_files_of_any_content(tmp_path: Path) -> None:
    for content in (b'', b'{', b'\xff', b'[' * 100_000, b'9' * 10_000):
        (tmp_path / 'x.json').write_bytes(content)
        assert read_json(tmp_path / 'x.json') is None


# What runs code, or takes a file apart, and the only modules that may use it: benchmarks read the
# configs of this project and of MMPretrain.
CALLS = {
    'torch.load': 'symmim_mm/checkpoint/unpickle.py',
    'pickle.load': '', 'pickle.loads': '', 'marshal.loads': '', 'shelve.open': '',
    'joblib.load': '',
    'yaml.load': '', 'yaml.unsafe_load': '', 'yaml.full_load': '', 'eval': '', 'exec': '',
    'os.system': '', 'os.popen': '', 'urllib.request.urlopen': '', 'urlopen': '',
    'requests.get': '', 'torch.hub.load': '', 'load_url': '', 'load_state_dict_from_url': '',
    'shutil.unpack_archive': '',
    'tarfile.open': 'symmim_mm/datasets/shards/writer.py',  # writes archives, lists their members
    'Config.fromfile': 'symmim_mm/config/file.py',
    'Config.fromstring': '', 'mmengine.load': '', 'fileio.load': '',
}  # fmt: skip
WORDS = ('allow_pickle', 'weights_only', 'shell')


def test_nothing_else_here_reads_programs() -> None:
    """The doors that the other tests try are all there are."""
    found = set()
    for path in [*ROOT.glob('symmim_mm/**/*.py'), *ROOT.glob('tools/*.py')]:
        where = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name in CALLS or name.endswith(('.extractall', '.extract')):
                known = where.startswith(CALLS.get(name) or '-')
                assert known, f'{where}:{node.lineno} calls {name}'
                found.add(name)
            for word in node.keywords:
                if word.arg in WORDS:
                    safe = word.arg == 'weights_only'
                    assert ast.unparse(word.value) == str(safe), f'{where}:{node.lineno} {word.arg}'
    assert found == {name for name, file in CALLS.items() if file}


def test_paths_of_checkpoints() -> None:
    assert checkpoint_problem(__file__) is None
    assert 'is a folder' in checkpoint_problem('.')
    for name in ('x' * 5000, 'a\0b', 'none.pth', ''):
        assert 'does not exist' in checkpoint_problem(name)
    for name in ('https://a.example/x.pth', 'open-mmlab:s3://x', 'hf://x'):
        assert 'is an address' in checkpoint_problem(name)


def test_files_inside_a_folder(tmp_path: Path) -> None:
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in' / 'file').write_text('12345')
    (tmp_path / 'in' / 'link').symlink_to('file')
    (tmp_path / 'out').write_text('x')
    (tmp_path / 'in' / 'away').symlink_to('../out')
    (tmp_path / 'in' / 'round').symlink_to('round')
    assert file_inside(tmp_path / 'in', 'link', 5).read_text() == '12345'
    for name, words in (('away', 'outside'), ('../out', 'outside'), ('/etc/passwd', 'outside'),
                        ('none', 'no such file'), ('.', 'not a file'), ('a\0', 'cannot be read'),
                        ('x' * 5000, 'cannot be read'), ('round', 'cannot be read')):  # fmt: skip
        with pytest.raises(UserError, match=words):
            file_inside(tmp_path / 'in', name, 5)
    with pytest.raises(UserError, match='more than 4'):
        file_inside(tmp_path / 'in', 'file', 4)


@pytest.mark.parametrize(
    'manifest',
    [b'{"seed": 0}', b'[' * 100_000, b'\xff', b'null', b'{"version": "../../../etc"}', None],
)
def test_a_folder_with_a_manifest_that_is_not_ours_is_left_alone(
    tmp_path: Path, manifest: bytes | None
) -> None:
    out = tmp_path / 'data'
    out.mkdir()
    if manifest is None:
        os.mkfifo(out / 'manifest.json')
    else:
        (out / 'manifest.json').write_bytes(manifest)
    with pytest.raises(UserError, match='name another folder'):
        write_sample_data(out, train=10, val=10)
    assert [path.name for path in tmp_path.iterdir()] == ['data']
    assert [path.name for path in out.iterdir()] == ['manifest.json']


@pytest.mark.slow
@pytest.mark.parametrize('name', ['../../x.png', '{root}/x.png', 'a/../../../x.png'])
def test_images_that_an_annotation_file_names_elsewhere_are_reported(
    tool: Callable, tmp_path: Path, sample_data: Path, name: str
) -> None:
    root = tmp_path / 'coco'
    (root / 'annotations').mkdir(parents=True)
    for folder in ('train2017', 'val2017'):
        (root / folder).symlink_to(sample_data / 'coco' / folder)
    for split in ('train', 'val'):
        source = sample_data / 'coco' / 'annotations' / f'instances_{split}2017.json'
        data = json.loads(source.read_text())
        data['images'][0]['file_name'] = name.format(root=tmp_path)
        (root / 'annotations' / source.name).write_text(json.dumps(data))
    done = tool('check_dataset.py', 'coco', root, '--quick', '--json', tmp_path / 'found.json')
    assert done.returncode == 2, done.stdout + done.stderr
    assert 'lies outside of its folder' in done.stdout + done.stderr
