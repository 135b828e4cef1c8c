"""Write the generated sample dataset in ImageNet-folder, COCO and ADE20K layout.

``OUT/imagenet/{train,val}/<class>/<number>.png``,
``OUT/coco/{train2017,val2017}/<12 digits>.png`` with ``annotations/instances_*.json``,
``OUT/ade20k/{images,annotations}/{training,validation}/<name>.png`` and ``OUT/manifest.json``.

Every image has a random generator of its own, seeded by (seed, part, split, index): image
``i`` is the same however many images are asked for. With the same NumPy and OpenCV the files
are the same to the byte.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from symmim_mm.datasets.decoding_pool import DecodingPool, WorkersDied
from symmim_mm.datasets.sample.layouts import (
    COCO_ID_STEP,
    VERSION,
    Batch,
    Drawn,
    Files,
    coco_index,
    draw,
)  # fmt: skip
from symmim_mm.datasets.sample.scenes import CLASSES, SEGMENTATION_CLASSES
from symmim_mm.datasets.sample.shapes import SHAPES
from symmim_mm.utils.errors import START_AGAIN, Fault, UserError, describe_exit
from symmim_mm.utils.paths import file_inside
from symmim_mm.utils.progress import progress_bar

MANIFEST = 'manifest.json'
SIZES = (32, 1024)
BATCH = 25  # images that are drawn at a time
FEW = 500  # images that are drawn before processes have started


def _check(seed: int, sizes: dict[str, int], counts: dict[str, dict[str, int]]) -> None:
    if seed < 0:
        raise UserError(f'the seed must be 0 or more, got {seed}')
    for part, size in sizes.items():
        if not SIZES[0] <= size <= SIZES[1]:
            raise UserError(f'{part}: images must be {SIZES[0]} to {SIZES[1]} pixels, got {size}')
        least = len(CLASSES) if part == 'imagenet' else 1
        for split, count in counts[part].items():
            if not least <= count < COCO_ID_STEP:
                raise UserError(
                    f'{part}/{split}: the number of images must be at least {least} and less '
                    f'than {COCO_ID_STEP}, got {count}'
                )


def _existing(out: Path, wanted: dict) -> dict | None:
    """Return the manifest in ``out`` if it is the wanted one, None if nothing is there."""
    if not out.exists() or not any(out.iterdir()):
        return None
    try:
        manifest = json.loads(file_inside(out, MANIFEST, 1 << 20).read_text())
        changed = ', '.join(key for key in wanted if manifest[key] != wanted[key])
    except (UserError, OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(
            f'{out} is not empty and holds no sample data: name another folder'
        ) from None
    if changed:
        raise UserError(
            f'{out} holds sample data of other options (different {changed}): '
            'remove it or name another folder'
        )
    return manifest


def write_sample_data(
    out: str | os.PathLike,
    seed: int = 0,
    size: int = 96,
    class_size: int = 72,
    train: int = 2000,
    val: int = 500,
    coco_train: int = 300,
    coco_val: int = 100,
    ade_train: int = 300,
    ade_val: int = 100,
    workers: int = 0,
) -> dict:
    """Write the sample data to the folder ``out``, whole or not at all.

    The files grow in a hidden folder next to ``out`` that is renamed at the end. Where ``out``
    already holds the same data (by its manifest) nothing is done.

    Args:
        out: folder that does not exist, is empty, or holds sample data of the same options.
        seed: of all random numbers.
        size: side of the detection and segmentation images, in pixels.
        class_size: side of the classification images.
        train: number of classification images to train on; classes take turns.
        val: the same to validate on.
        coco_train: number of detection scenes to train on.
        coco_val: the same to validate on.
        ade_train: number of segmentation scenes to train on.
        ade_val: the same to validate on.
        workers: processes that draw, where there are many images; 0: this one draws.

    Returns:
        The manifest: options, classes and sha256 over all files.

    Raises:
        UserError: bad options, or a folder that holds something else.
        Fault: a process that draws was killed.
        OSError: a failed write.
    """
    out = Path(out)
    wanted = {
        'version': VERSION,
        'seed': seed,
        'size': {'imagenet': class_size, 'coco': size, 'ade20k': size},
        'counts': {
            'imagenet': {'train': train, 'val': val},
            'coco': {'train2017': coco_train, 'val2017': coco_val},
            'ade20k': {'training': ade_train, 'validation': ade_val},
        },
    }
    _check(seed, wanted['size'], wanted['counts'])
    return _existing(out, wanted) or _generate(out.resolve(), wanted, workers)


def _draw_all(wanted: dict, workers: int) -> Iterator[tuple[Batch, Drawn]]:
    """Yield the images of all parts, in any order; ``workers`` processes draw, 0: this one."""
    seed = wanted['seed']
    batches = [
        Batch(part, split, name, wanted['size'][part], range(count)[start : start + BATCH])
        for part, splits in wanted['counts'].items()
        for split, (name, count) in enumerate(splits.items())
        for start in range(0, count, BATCH)
    ]
    if not workers:
        yield from ((batch, draw(batch, seed)) for batch in batches)
        return
    try:
        with DecodingPool(workers, draw.__module__) as pool:
            yield from pool.run(draw, batches, seed)
    except WorkersDied as error:
        how = ' and '.join(map(describe_exit, sorted(error.exit_codes)))
        raise Fault(f'a process that drew images {how}: {START_AGAIN}') from error


def _generate(out: Path, wanted: dict, workers: int) -> dict:
    out.parent.mkdir(parents=True, exist_ok=True)
    total = sum(sum(splits.values()) for splits in wanted['counts'].values())
    hashes = []
    with TemporaryDirectory(
        prefix=f'.{out.name}-partial-', dir=out.parent, ignore_cleanup_errors=True
    ) as partial:
        data = Path(partial, 'data')  # made by mkdir, thus with the user's usual permissions
        data.mkdir()

        def write(files: Files) -> None:
            for name, content in files.items():
                (data / name).parent.mkdir(parents=True, exist_ok=True)
                (data / name).write_bytes(content)
                hashes.append((name, hashlib.sha256(content).hexdigest()))

        annotations: dict[int, list[dict]] = {0: [], 1: []}  # by split
        with progress_bar('drawing images', total) as advance:
            for batch, (files, found) in _draw_all(wanted, workers if total >= FEW else 0):
                write(files)
                annotations[batch.split] += found
                advance(len(batch.indices))
        for split, (name, count) in enumerate(wanted['counts']['coco'].items()):
            size = wanted['size']['coco']
            write(coco_index(name, size, split, count, annotations[split]))
        classes = {'imagenet': CLASSES, 'coco': SHAPES, 'ade20k': SEGMENTATION_CLASSES}
        lines = ''.join(f'{digest}  {name}\n' for name, digest in sorted(hashes))
        sha256 = hashlib.sha256(lines.encode()).hexdigest()
        manifest = {**wanted, 'classes': classes, 'sha256': sha256}
        text = json.dumps(manifest, indent=2) + '\n'
        (data / MANIFEST).write_text(text)
        try:
            data.rename(out)
        except OSError:
            # Another process may have finished the same data first.
            if (finished := _existing(out, wanted)) is None:
                raise
            return finished
    return json.loads(text)
