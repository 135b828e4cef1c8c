"""What the config in a checkpoint says of its encoder; MMEngine keeps the text of the run's."""

import ast
from collections.abc import Iterator

NORMALIZATION = ('mean', 'std')


def saved_heads(checkpoint: dict) -> int | None:
    """Return the number of attention heads, if the config states it."""
    for path, value in read_settings(checkpoint):
        if path == ('model', 'backbone', 'arch', 'num_heads') and type(value) is int:
            return value
    return None


def saved_grid(checkpoint: dict) -> tuple[int, int] | None:
    """Return rows and columns of the encoder's patches, if the config states an oblong image."""
    found = dict(read_settings(checkpoint))
    size, patch = (found.get(('model', 'backbone', name)) for name in ('img_size', 'patch_size'))
    sides = size if isinstance(size, list | tuple) else ()
    if len(sides) != 2 or any(type(number) is not int for number in (*sides, patch)) or not patch:
        return None
    return sides[0] // patch, sides[1] // patch


def saved_normalization(checkpoint: dict) -> dict[str, list[float]]:
    """Return mean and standard deviation of the images, in [0, 255], as far as they are stated."""
    found = {}
    for path, value in read_settings(checkpoint):
        if path[-2:-1] == ('data_preprocessor',) and path[-1] in NORMALIZATION:
            numbers = isinstance(value, list) and all(type(v) in (int, float) for v in value)
            if numbers and len(path) <= 3 and len(value) == 3:
                found[path[-1]] = value
    return found


def read_settings(checkpoint: dict) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield path and value of every constant of the config's text, of which nothing is run."""
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    try:
        for line in ast.parse(text if isinstance(text, str) else '').body:
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                yield from _constants((line.targets[0].id,), line.value)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # not MMEngine's
        return


def _constants(path: tuple[str, ...], node: ast.expr) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(node, ast.Call):
        for item in node.keywords:
            yield from _constants((*path, str(item.arg)), item.value)
        return
    try:
        yield path, ast.literal_eval(node)
    except (ValueError, TypeError):  # an expression
        return
