"""What tests of ``tools/check_dataset.py`` share."""

import importlib.util
from collections.abc import Callable

import pytest
from paths import ROOT


@pytest.fixture
def run_check() -> Callable[..., None]:
    """Run the command in this process: ``run_check('folder', root, '--quick')``."""
    spec = importlib.util.spec_from_file_location('check_tool', ROOT / 'tools/check_dataset.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return lambda *arguments: tool.main(tool.build_parser().parse_args([*map(str, arguments)]))
