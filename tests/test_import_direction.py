"""Imports run one way: no package imports one that stands above it."""

import ast
from pathlib import Path

import pytest
from paths import ROOT

PACKAGE = ROOT / 'symmim_mm'
# From the bottom up. A package may import those of earlier rows, and of its own row only itself.
ROWS = (
    ('utils',),
    ('compat',),
    ('registry', 'config'),
    ('checkpoint', 'datasets'),
    ('models', 'datacheck'),
    ('results',),
    ('visualization',),
    ('engine',),
    ('evaluation', 'planning'),
    ('suite', 'apis'),
    ('cli',),
)
LEVEL = {name: level for level, row in enumerate(ROWS) for name in row}


def imported(path: Path) -> set[str]:
    """Dotted names of this package's modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == 'symmim_mm':
                found |= {f'symmim_mm.{alias.name}' for alias in node.names}
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith('symmim_mm.')} - {'symmim_mm.__version__'}


def test_every_package_has_its_row() -> None:
    modules = {path.stem for path in PACKAGE.glob('*.py')} - {'__init__'}
    packages = {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    assert modules | packages == set(LEVEL)


@pytest.mark.parametrize('name', sorted(LEVEL))
def test_imports_run_downwards(name: str) -> None:
    place = PACKAGE / name
    files = place.rglob('*.py') if place.is_dir() else [place.with_suffix('.py')]
    upwards = [
        f'{file.relative_to(ROOT)} imports {module}'
        for file in files
        for module in imported(file)
        if (other := module.split('.')[1]) != name and LEVEL[other] >= LEVEL[name]
    ]
    assert not upwards


def test_a_ring_would_be_found(tmp_path: Path) -> None:
    """The reader of imports sees those inside functions, and both spellings."""
    file = tmp_path / 'module.py'
    file.write_text(
        'import symmim_mm.cli\nfrom symmim_mm import registry\n'
        'def f():\n    from symmim_mm.engine.launch import x\n'
    )
    assert imported(file) == {
        'symmim_mm.cli', 'symmim_mm.registry', 'symmim_mm.engine.launch'
    }  # fmt: skip
    assert len(LEVEL) == sum(map(len, ROWS))  # no package has two rows
