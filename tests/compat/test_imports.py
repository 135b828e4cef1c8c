"""What ``import symmim_mm`` does to later imports, each tried in a process of its own."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from symmim_mm.compat import mmpretrain_parts

ROOT = Path(__file__).resolve().parents[2]
TRANSFORMERS = ROOT / '.venv' / 'transformers'


def python(*arguments: str, folder: Path | None = None, code: int = 0) -> str:
    """Run Python with ``folder`` before all installed packages; return its stdout or stderr."""
    places = [str(place) for place in (folder, ROOT) if place]
    environ = {**os.environ, 'PYTHONPATH': os.pathsep.join(places), 'OMP_NUM_THREADS': '1'}
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', *arguments], env=environ, capture_output=True, text=True
    )
    assert result.returncode == code, result.stderr
    return result.stderr if code else result.stdout


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_importing_the_package_imports_no_library() -> None:
    code = (
        'import sys; before = set(sys.modules); import symmim_mm;'
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    imported = set(python('-c', code).split()) - {'symmim_mm'}
    assert imported <= set(sys.stdlib_module_names)


def test_installed_modules_win(tmp_path: Path) -> None:
    write(tmp_path / 'mmcv/__init__.py', '')
    write(tmp_path / 'mmcv/_ext.py', "compiled = 'yes'")
    write(tmp_path / 'imgaug/__init__.py', "installed = 'yes'")
    code = 'import symmim_mm, mmcv._ext, imgaug; print(mmcv._ext.compiled, imgaug.installed)'
    assert python('-c', code, folder=tmp_path).split() == ['yes', 'yes']
    error = python('-c', 'import symmim_mm, imgaug.augmenters', folder=tmp_path, code=1)
    assert "No module named 'imgaug.augmenters'" in error


def test_broken_compiled_operators_are_not_replaced(tmp_path: Path) -> None:
    write(tmp_path / 'mmcv/__init__.py', '')
    write(tmp_path / 'mmcv/_ext.py', "raise ImportError('undefined symbol')")
    assert 'undefined symbol' in python(
        '-c', 'import symmim_mm, mmcv._ext', folder=tmp_path, code=1
    )


@pytest.mark.skipif(
    'imgaug' in importlib.metadata.packages_distributions(),
    reason='imaug is installed',
)
def test_imgaug_can_be_imported_and_refuses_to_be_used() -> None:
    code = (
        'import symmim_mm; from imgaug.augmentables.lines import LineString\n'
        'try: LineString([])\n'
        'except symmim_mm.utils.errors.UserError as error: print(error)'
    )
    expected = 'imgaug.augmentables.lines.LineString needs the package imaug: pip install imaug'
    assert python('-c', code).strip() == expected


@pytest.mark.slow
def test_the_packages_themselves_may_be_imported_before() -> None:
    first = 'import mmcv, mmdet, mmseg, mmpretrain, mmengine.runner'
    python('-c', f'{first}; import symmim_mm, mmdet.models, mmseg.models, mmpretrain.models')


@pytest.mark.slow
@pytest.mark.parametrize('method', ['spawn', 'forkserver'])
def test_processes_started_anew_have_the_stand_ins(method: str, tmp_path: Path) -> None:
    script = write(
        tmp_path / 'main.py',
        'import multiprocessing\n'
        'import symmim_mm\n'
        'def task():\n'
        '    import mmdet.datasets\n'
        "if __name__ == '__main__':\n"
        f"    process = multiprocessing.get_context('{method}').Process(target=task)\n"
        '    process.start()\n'
        '    process.join()\n'
        '    raise SystemExit(process.exitcode)\n',
    )
    python(str(script))


@pytest.mark.slow
def test_mmpretrain_imports_with_transformers_5() -> None:
    if not TRANSFORMERS.exists():
        pytest.skip('the environment was not set up by `make setup`')
    code = (
        'import symmim_mm, importlib.metadata\n'
        'import mmpretrain.models, mmdet.models, mmseg.models\n'
        'from mmpretrain.registry import MODELS\n'
        'from transformers import ViTModel\n'
        "print(importlib.metadata.version('transformers').split('.')[0], ViTModel.__name__)\n"
        "try: MODELS.build(dict(type='CLIP'))\n"
        "except ImportError as error: print('multi-modal' in str(error))"
    )
    assert python('-c', code, folder=TRANSFORMERS).split()[-3:] == ['5', 'ViTModel', 'True']


@pytest.mark.slow
@pytest.mark.parametrize('before', ['', 'mmdet.models'])
def test_mmpretrain_imports_mmdet_only_after_it(before: str) -> None:
    names = ', '.join(filter(None, ['symmim_mm', before, 'mmpretrain.models']))
    code = (
        f'import sys, {names}\n'
        'from mmpretrain.models.utils import ResLayerExtraNorm\n'
        "print('mmdet.models' in sys.modules, ResLayerExtraNorm is not None)"
    )
    assert python('-c', code).split() == [str(bool(before))] * 2


@pytest.mark.parametrize(
    'version, fits', [(None, False), ('4.52.4', False), ('4.53.0', True), ('5.0.0', False)]
)
def test_multimodal_parts_stay_on_with_the_versions_they_ask_for(
    version: str | None, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(name: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, 'version', installed)
    assert mmpretrain_parts.transformers_fits() is fits
