"""A second command in the folder of a run continues that run, or says what is another."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from own_data import TASKS, ade, coco, write

from symmim_mm.apis.own_data.pretrain import pretrain
from symmim_mm.apis.own_data.transfer import data_name
from symmim_mm.utils.errors import UserError

COMMANDS = {
    'pretrain': (pretrain, lambda root: (root / 'imagenet',)),
    **{task: (function, data) for task, (function, data, _) in TASKS.items()},
}


@pytest.mark.parametrize('name', COMMANDS)
def test_other_arguments_are_refused_once_trained(
    name: str, plan: Callable[..., list[str]], sample_data: Path, tmp_path: Path
) -> None:
    function, data = COMMANDS[name]
    data, out = data(sample_data), tmp_path / 'out'
    plan(function, *data, out=out)
    (out / 'last_checkpoint').touch()
    lines = plan(function, *data, out=out, workers=1)
    assert 'the run is continued' in lines[0] and len(lines) == 1
    moved = [tmp_path / 'elsewhere' for _ in data]
    for others, options, message in (
        (data, dict(epochs=2), 'epochs 1, now 2; give another --out, or remove'),
        (data, dict(seed=1, model='vit-s'), 'model vit-ti, now vit-s; seed 0, now 1'),
        (data, dict(epochs=None, budget='2h'), 'epochs 1, now none; budget none, now 2h'),
        (moved, {}, f'/{data[0].name}, now {moved[0]}'),
    ):
        options = dict(epochs=1, workers=0, report=print, out=out) | options
        with pytest.raises(UserError, match=f'holds a run of other arguments: .*{message}'):
            function(*others, **options)


@pytest.mark.parametrize('name', COMMANDS)
def test_a_plan_that_was_never_trained_is_made_again(
    name: str, plan: Callable[..., list[str]], sample_data: Path, tmp_path: Path
) -> None:
    function, data = COMMANDS[name]
    data = data(sample_data)
    plan(function, *data, out=tmp_path)
    config = next((tmp_path / 'plan').glob('*.py'))
    first = config.read_text()
    lines = plan(function, *data, out=tmp_path, epochs=3)
    assert 'was never trained' in lines[0] and config.read_text() != first
    # What was changed by hand is not lost.
    config.write_text(config.read_text() + '# by hand\n')
    assert 'the run is continued' in plan(function, *data, out=tmp_path, epochs=3)[0]
    with pytest.raises(UserError, match='epochs 3, now 1'):
        function(*data, epochs=1, workers=0, out=tmp_path)
    assert config.read_text().endswith('# by hand\n')


def test_weights_of_others_in_the_folder_are_no_run(
    plan: Callable[..., list[str]], sample_data: Path, tmp_path: Path
) -> None:
    (tmp_path / 'mae_pretrain_vit_base.pth').touch()
    lines = plan(pretrain, sample_data / 'imagenet', out=tmp_path)
    assert not any('is continued' in line for line in lines)


def test_a_plan_is_not_changed_while_it_is_trained(
    plan: Callable[..., list[str]], sample_data: Path, tmp_path: Path
) -> None:
    """Before its first checkpoint, too, a run that is under way keeps others out."""
    plan(pretrain, sample_data / 'imagenet', out=tmp_path)
    text = (tmp_path / 'plan/pretrain.py').read_text()
    script = (
        'import fcntl, sys\n'
        'file = open(sys.argv[1], "w")\n'
        'fcntl.lockf(file, fcntl.LOCK_EX)\n'
        'print("held", flush=True)\n'
        'sys.stdin.read()\n'
    )
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with subprocess.Popen([sys.executable, '-c', script, tmp_path / 'run.lock'], **pipes) as other:
        other.stdout.readline()
        with pytest.raises(UserError, match='another run .* is using'):
            pretrain(sample_data / 'imagenet', out=tmp_path, epochs=2, workers=0)
        other.stdin.close()
    assert (tmp_path / 'plan/pretrain.py').read_text() == text
    assert 'never trained' in plan(pretrain, sample_data / 'imagenet', out=tmp_path)[0]


def test_a_folder_of_another_command_or_version(
    plan: Callable[..., list[str]], sample_data: Path, tmp_path: Path
) -> None:
    finetune, detect = TASKS['finetune'][0], TASKS['detection'][0]
    plan(finetune, sample_data / 'imagenet', out=tmp_path)
    (tmp_path / 'result.json').touch()
    with pytest.raises(UserError, match='command finetune, now detection; give'):
        detect(*coco(sample_data), out=tmp_path, epochs=1, workers=0)
    (tmp_path / 'plan/arguments.json').unlink()  # as an older version left it
    lines = plan(finetune, sample_data / 'imagenet', out=tmp_path, epochs=5)
    assert 'the run is continued' in lines[0]
    with pytest.raises(UserError, match='holds another run: give another --out'):
        detect(*coco(sample_data), out=tmp_path, epochs=1, workers=0)
    (tmp_path / 'plan/arguments.json').write_text('[')
    with pytest.raises(UserError, match=r'arguments\.json is damaged'):
        finetune(sample_data / 'imagenet', out=tmp_path)


def test_paths_are_compared_as_absolute_ones(
    plan: Callable[..., list[str]],
    sample_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segment, out = TASKS['segmentation'][0], tmp_path / 'out'
    val = tuple(map(str, ade(sample_data, 'validation')))
    plan(segment, *ade(sample_data), val=val, out=out)
    (out / 'last_checkpoint').touch()
    monkeypatch.chdir(sample_data)
    relative = [path.relative_to(sample_data) for path in map(Path, (*ade(sample_data), *val))]
    lines = plan(segment, *relative[:2], val=tuple(relative[2:]), out=out)
    assert 'the run is continued' in lines[0]
    stored = json.loads((out / 'plan/arguments.json').read_text())['arguments']
    assert stored['val'] == list(val) and stored['backbone'] is None
    with pytest.raises(UserError, match=r'val .*/images/validation .*, now 0\.2'):
        segment(*relative[:2], out=out, epochs=1, workers=0)


@pytest.mark.parametrize(
    ('path', 'name'),
    [
        ('cells', 'cells'),
        ('cells/train2017', 'cells'),
        ('cells/images/training', 'cells'),
        ('cells.v1', 'cells.v1'),
        ('cells.v2/train', 'cells.v2'),
        ('images_cats', 'images_cats'),
        ('trains', 'trains'),
        ('lists/birds.txt', 'birds'),
        ('flowers/train.txt', 'flowers'),
    ],
)
def test_data_are_called_by_their_folder(path: str, name: str, tmp_path: Path) -> None:
    if path.endswith('.txt'):
        write(tmp_path / path.replace('txt', 'png'), 3)
        (tmp_path / path).touch()
    assert data_name(tmp_path / path) == name
