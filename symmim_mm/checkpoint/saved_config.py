"""What the config in a checkpoint says of its encoder; MMEngine keeps the text of the run's."""

import ast
from collections.abc import Iterator


def saved_grid(checkpoint: dict) -> tuple[int, int] | None:
    """Return rows and columns of the encoder's patches, if the config states an oblong image."""
    found = read_settings(checkpoint)
    size, patch = found.get('model.backbone.img_size'), found.get('model.backbone.patch_size')
    sides = size if isinstance(size, list | tuple) else ()
    if len(sides) != 2 or any(type(number) is not int for number in (*sides, patch)) or not patch:
        return None
    return sides[0] // patch, sides[1] // patch


def saved_normalization(checkpoint: dict, channels: int = 3) -> dict[str, list[float]]:
    """Return mean and standard deviation of the images, in [0, 255], as far as they are stated.

    What is not stated for this number of channels is left out.
    """
    settings, found = read_settings(checkpoint), {}
    for place in ('data_preprocessor', 'model.data_preprocessor'):
        for name in ('mean', 'std'):
            value = settings.get(f'{place}.{name}')
            numbers = isinstance(value, list) and all(type(v) in (int, float) for v in value)
            if numbers and len(value) == channels:
                found[name] = value
    return found


def read_settings(checkpoint: dict) -> dict[str, object]:
    """Return every constant of the config's text by its dotted name; nothing of it is run."""
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    try:
        lines = ast.parse(text if isinstance(text, str) else '').body
        return {
            name: value
            for line in lines
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
            for name, value in _constants(line.targets[0].id, line.value)
        }
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # not MMEngine's
        return {}


def _constants(name: str, node: ast.expr) -> Iterator[tuple[str, object]]:
    if isinstance(node, ast.Call):
        for item in node.keywords:
            yield from _constants(f'{name}.{item.arg}', item.value)
        return
    try:
        yield name, ast.literal_eval(node)
    except (ValueError, TypeError):  # an expression
        return
