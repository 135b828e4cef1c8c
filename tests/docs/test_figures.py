"""The figures in docs/ are those that the code draws."""

import re
from pathlib import Path

import pytest
from paths import ROOT

from docs.figures import build


def drawing(path: Path) -> str:
    """Everything but the bytes of the images, which depend on the encoder's version."""
    return re.sub(r'base64,[^"]+', '', path.read_text())


@pytest.mark.parametrize('name', ['method', 'masks'])
def test_figure_is_up_to_date(tmp_path: Path, name: str) -> None:
    getattr(build, f'draw_{name}')(tmp_path / 'new.svg')
    found = drawing(tmp_path / 'new.svg')
    assert found == drawing(ROOT / 'docs' / 'figures' / f'{name}.svg')
    assert len(re.findall('<path transform', found)) == dict(method=3, masks=7)[name]
