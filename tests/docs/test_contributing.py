"""CONTRIBUTING names files that exist."""

import re

from paths import ROOT


def test_every_path_exists() -> None:
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    paths = re.findall(r'`((?:symmim_mm|configs|tests)/[\w./]*)`', text)
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []
