"""Hash of the content of a config, whatever its comments and the order of its keys."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symmim_mm.config.file import read_config_file


def config_sha256(config: str | Path, overrides: Sequence[str] = ()) -> str:
    """Return the SHA-256 of a config file with its bases resolved.

    ``overrides`` are ``key=value`` strings of ``--cfg-options`` in the order given; the config
    itself is read without them.
    """
    return sha256_of_config(read_config(config), overrides)


def read_config(config: str | Path) -> dict[str, Any]:
    """Return the content of a config file with its bases resolved."""
    return read_config_file(config, import_custom_modules=False).to_dict()


def sha256_of_config(content: dict[str, Any], overrides: Sequence[str] = ()) -> str:
    """Return :func:`config_sha256` of a config that :func:`read_config` has read."""
    text = json.dumps(content, sort_keys=True, default=_plain)
    if overrides:
        text += '\n' + '\n'.join(overrides)
    return hashlib.sha256(text.encode('utf-8')).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    # The default string of a function or class has a memory address, which changes every time.
    if callable(value):
        return f'{value.__module__}.{value.__qualname__}'
    return str(value)
