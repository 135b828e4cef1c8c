"""A COCO annotation file: read once, its categories and images checked."""

import gc
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from symmim_mm.datacheck.report import Report

# The categories of COCO 2017 in the order of their ids; MMDetection's default.
NAMES = (
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat',
    'traffic light', 'fire hydrant', 'stop sign', 'parking meter', 'bench', 'bird', 'cat', 'dog',
    'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe', 'backpack', 'umbrella',
    'handbag', 'tie', 'suitcase', 'frisbee', 'skis', 'snowboard', 'sports ball', 'kite',
    'baseball bat', 'baseball glove', 'skateboard', 'surfboard', 'tennis racket', 'bottle',
    'wine glass', 'cup', 'fork', 'knife', 'spoon', 'bowl', 'banana', 'apple', 'sandwich', 'orange',
    'broccoli', 'carrot', 'hot dog', 'pizza', 'donut', 'cake', 'chair', 'couch', 'potted plant',
    'bed', 'dining table', 'toilet', 'tv', 'laptop', 'mouse', 'remote', 'keyboard', 'cell phone',
    'microwave', 'oven', 'toaster', 'sink', 'refrigerator', 'book', 'clock', 'vase', 'scissors',
    'teddy bear', 'hair drier', 'toothbrush',
)  # fmt: skip

Id = int | str
Size = tuple[int, int]


def load(root: str, name: str, report: Report) -> dict[str, list[Any]] | None:
    """Read ``images``, ``annotations`` and ``categories`` of a file; None if unreadable."""
    path = os.path.join(root, name)
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would block
        report.add('unreadable', name, 'is not a file')
        return None
    gc.disable()  # JSON has no cycles, and looking for them takes long
    try:
        # As text: of bytes, json would guess encodings that pycocotools does not read.
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        if not isinstance(content, dict):
            raise ValueError(f'holds a {type(content).__name__}, not an object')
        lists = {key: content.get(key) for key in ('images', 'annotations', 'categories')}
        for key, value in lists.items():
            if not isinstance(value, list):
                raise ValueError(f'has no list {key!r}: is it an instances_*.json?')
    except OSError as error:
        report.add('unreadable', name, error.strerror or str(error))
        return None
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or nested without end
        report.add('json', name, ' '.join(str(error).split()))
        return None
    finally:
        gc.enable()
    return lists


def is_integer(value: Any) -> bool:
    """Return whether a JSON value is an integer, written as 3 or 3.0, and no boolean."""
    return type(value) is int or (type(value) is float and value.is_integer())


def is_id(value: Any) -> bool:
    """Return whether a JSON value can be an id: an integer as COCO has it, or a string."""
    return is_integer(value) or isinstance(value, str)


def entry_problem(entry: Any, **rules: Callable[[Any], bool] | None) -> str:
    """Return what is wrong with an entry whose values must be there and pass tests, or ''."""
    if not isinstance(entry, dict):
        return f'a {type(entry).__name__} in place of an object'
    if absent := [key for key in rules if key not in entry]:
        return f'without {", ".join(absent)}'
    failed = [key for key, test in rules.items() if test and not test(entry[key])]
    return ', '.join(f'{key} {entry[key]!r}' for key in failed)


def check_categories(name: str, entries: list[Any], report: Report) -> dict[Id, str]:
    """Check categories; return names by id, in the order of the file and of the labels."""
    whole = _whole('category', name, entries, report, id=is_id, name=_is_string)
    return {entry['id']: entry['name'] for entry in whole}


def check_images(name: str, entries: list[Any], report: Report) -> dict[Id, tuple[str, Size]]:
    """Check images; return ``(file name, (width, height))`` by id."""
    rules = dict(id=is_id, file_name=_is_string, width=_is_side, height=_is_side)
    whole = _whole('image', name, entries, report, **rules)
    return {
        entry['id']: (entry['file_name'], (int(entry['width']), int(entry['height'])))
        for entry in whole
    }


def _whole(
    what: str, file: str, entries: list[Any], report: Report, **rules: Callable[[Any], bool]
) -> Iterator[dict[str, Any]]:
    """Yield the entries that pass the rules, whose first two values must differ in all of them."""
    seen = set()
    for number, entry in enumerate(entries):
        if wrong := entry_problem(entry, **rules):
            report.add('json-layout', file, f'{what} {number}: {wrong}')
            continue
        unique = [(key, entry[key]) for key in list(rules)[:2]]
        if taken := next(filter(seen.__contains__, unique), None):
            report.add('duplicate-id', file, f'{what} {number}: {taken[0]} {taken[1]}')
        seen.update(unique)
        yield entry


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_side(value: Any) -> bool:
    return is_integer(value) and value > 0
