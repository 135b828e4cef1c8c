"""A small set of the sample data, and what a folder holds."""

from pathlib import Path

SMALL = dict(
    size=64, class_size=48, train=20, val=10, coco_train=6, coco_val=4, ade_train=6, ade_val=4
)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}
