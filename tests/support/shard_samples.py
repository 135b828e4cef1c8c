"""Images to make shards of, and what a set is to the byte."""

import hashlib
from pathlib import Path

from encoded_images import drawn, jpeg, pillow

COUNT = 23
OPTIONS = dict(short_side=48, shard_images=5)


def write_source(root: Path) -> Path:
    """Images of three classes, one of them empty, as JPEG and PNG."""
    (root / 'c').mkdir()
    for index in range(COUNT):
        image = drawn(60 + index, 90, index)
        name, data = f'{index:02d}.JPEG', jpeg(image)
        if index % 5 == 0:
            name, data = f'{index:02d}.png', pillow(image, 'PNG')
        folder = root / 'ab'[index % 2] / ('deep' if index % 3 == 0 else '')
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return root


def digest(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != '.lock'
    }
