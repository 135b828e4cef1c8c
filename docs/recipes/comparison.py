"""Our recipes beside published ones, setting by setting."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from docs.recipes.fields import FIELDS, Value
from docs.recipes.pretrainings import MAE, SIMMIM, SYMMIM
from docs.recipes.published import PublishedRecipe
from docs.recipes.transfers import (
    FINETUNE,
    KNN,
    LINEAR,
    MASK_RCNN_1X,
    UPERNET,
    VITDET,
)
from symmim_mm.config.file import read_config_file

RECIPES = (SYMMIM, MAE, SIMMIM, FINETUNE, LINEAR, KNN, UPERNET, VITDET, MASK_RCNN_1X)
SIZES = 'SBL'


@dataclass(frozen=True)
class Comparison:
    """One setting of one recipe.

    Args:
        setting: its name in ``recipe_fields.FIELDS``.
        sizes: the ViT sizes that have the value ``ours``.
        ours: value of the configs.
        published: those of ``sizes`` of which something is published; if any
        theirs, source: the published value and who states it.
        reason: why ours differs; empty where it does not.
    """

    setting: str
    sizes: str
    ours: Value
    published: str = ''
    theirs: Value = None
    source: str = ''
    reason: str = ''


def compare(recipe: PublishedRecipe, configs: Path) -> list[Comparison]:
    """Compare a recipe of all sizes with what is published of it.

    Args:
        configs: the folder ``configs``.

    Raises:
        ValueError: a value differs and ``recipe.differences`` gives no reason, or a reason is
            given for what does not differ.
    """
    found: list[Comparison] = []
    explained = set()
    for setting in recipe.fields:
        for size in SIZES:
            cfg = read_config_file(configs / recipe.configs.format(size=size.lower()))
            row = _compare_one(recipe, setting, size, FIELDS[setting][1](cfg))
            if row.reason:
                explained.add(setting)
            if found and (joined := _join(found[-1], row)):
                found[-1] = joined
            else:
                found.append(row)
    if idle := set(recipe.differences) - explained:
        raise ValueError(f'{recipe.title}: {sorted(idle)} do not differ from what is published')
    return found


def _compare_one(recipe: PublishedRecipe, setting: str, size: str, ours: Value) -> Comparison:
    for claim in recipe.claims:
        if size in claim.sizes and setting in claim.values:
            break
    else:
        return Comparison(setting, size, ours)
    theirs = claim.values[setting]
    reason = ''
    if not is_equal(ours, theirs):
        if setting not in recipe.differences:
            raise ValueError(
                f'{recipe.title}, {size}: {setting} is {ours} here and {theirs} in {claim.source}, '
                'and no reason is given'
            )
        reason = recipe.differences[setting]
    return Comparison(setting, size, ours, size, theirs, claim.source, reason)


def is_equal(ours: Value, theirs: Value) -> bool:
    """Equal, numbers to rounding."""
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(map(is_equal, ours, theirs))
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (ours, theirs))
    return math.isclose(ours, theirs, rel_tol=1e-9) if numbers else ours == theirs


def _join(one: Comparison, other: Comparison) -> Comparison | None:
    """One row for the sizes of two, if nothing that either states is lost."""
    if (one.setting, one.ours) != (other.setting, other.ours):
        return None
    claims = [(row.theirs, row.source, row.reason) for row in (one, other) if row.published]
    if len(claims) == 2 and claims[0] != claims[1]:
        return None
    stated = one if one.published else other
    return replace(stated, sizes=one.sizes + other.sizes, published=one.published + other.published)


def comparison_lines(recipe: PublishedRecipe, configs: Path) -> Iterator[str]:
    """A Markdown table of :func:`compare`, under a heading."""
    yield f'### {recipe.title}'
    yield ''
    yield f'`configs/{recipe.configs}`'
    if recipe.note:
        yield ''
        yield recipe.note
    yield ''
    yield '| setting | ViT | ours | published | source |'
    yield '|---|---|---|---|---|'
    for row in compare(recipe, configs):
        cells = FIELDS[row.setting][0], ', '.join(row.sizes), write_value(row.ours)
        yield '| ' + ' | '.join((*cells, *_published_cells(row))) + ' |'


def _published_cells(row: Comparison) -> tuple[str, str]:
    if not row.published:
        return 'none', 'ours'
    theirs, source = write_value(row.theirs), row.source
    if row.reason:
        theirs, source = f'**{theirs}**', f'{source}. Ours differs: {row.reason}'
    if alone := [size for size in row.sizes if size not in row.published]:
        theirs += f' ({", ".join(row.published)})'
        source += f'; {", ".join(alone)}: ours'
    return theirs, source


def write_value(value: Value) -> str:
    """A value in a cell."""
    if isinstance(value, tuple):
        return ', '.join(map(write_value, value))
    if value is None:
        return 'no'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return f'{value:g}' if isinstance(value, float) else str(value)
