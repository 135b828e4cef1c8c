"""Comparison of our recipes with published ones, setting by setting."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from docs.recipes.fields import FIELDS, Value
from symmim_mm.config.file import read_config_file

PUBLISHED = Path(__file__).with_name('published')
RECIPES = (
    'symmim', 'mae', 'simmim', 'finetune', 'scratch', 'linear', 'attentive', 'knn', 'upernet',
    'linear_segmentation', 'mask_rcnn_100ep', 'mask_rcnn_1x',
)  # fmt: skip
SIZES = 'SBL'


class _Data(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class Claim(_Data):
    """A published value.

    Args:
        sizes: ViT sizes that it is for, letters of S, B and L.
        value: in the form of ``fields.FIELDS``.
        source: ``repository@commit:path`` or ``arXiv:`` and a number, or several of them.
        detail: more about the source.
        borrowed: stated for another method.
    """

    sizes: Literal['S', 'B', 'L', 'SB', 'BL', 'SBL']
    value: Value
    source: str | list[str]
    detail: str = ''
    borrowed: bool = False

    def __str__(self) -> str:
        sources = self.source if isinstance(self.source, str) else ', '.join(self.source)
        detail = f' ({self.detail})' if self.detail else ''
        return f'{"borrowed: " if self.borrowed else ""}{sources}{detail}'


class Setting(_Data):
    """What is published of a setting.

    Args:
        published: of several claims for one size, the first counts; none: the value is ours.
        difference: why ours differs; empty if it does not.
    """

    published: list[Claim] = []
    difference: str = ''


class PublishedRecipe(_Data):
    """A recipe of ours, and what is published of it.

    Args:
        title: of the recipe.
        configs: path below ``configs/`` with ``{size}`` for s, b and l.
        note: what the table cannot say.
        settings: in the order of the table, by their names in ``fields.FIELDS``.
    """

    title: str
    configs: str
    note: str = ''
    settings: dict[str, Setting]


def read_recipe(name: str) -> PublishedRecipe:
    """Read a file of ``published/``, one of ``RECIPES``."""
    return PublishedRecipe(**yaml.safe_load((PUBLISHED / f'{name}.yaml').read_text()))


@dataclass(frozen=True)
class Row:
    """One setting of one recipe.

    Args:
        setting: its name in ``fields.FIELDS``.
        sizes: the ViT sizes that have the value ``ours``.
        ours: value of the configs.
        published: those of ``sizes`` that the claim is for.
        claim: None if nothing is published.
        difference: why ours differs; empty if it does not.
    """

    setting: str
    sizes: str
    ours: Value
    published: str = ''
    claim: Claim | None = None
    difference: str = ''


def compare(recipe: PublishedRecipe, configs: Path) -> list[Row]:
    """Compare a recipe of all sizes with what is published of it.

    Args:
        recipe: the published one.
        configs: the folder ``configs``.

    Raises:
        ValueError: a value differs and no reason is given, or a reason is given for a setting that
            does not differ.
    """
    paths = {size: configs / recipe.configs.format(size=size.lower()) for size in SIZES}
    configs_read = {size: read_config_file(path) for size, path in paths.items()}
    rows: list[Row] = []
    for name, setting in recipe.settings.items():
        found = [
            _compare_one(recipe, name, size, FIELDS[name][1](cfg))
            for size, cfg in configs_read.items()
        ]
        if setting.difference and not any(row.difference for row in found):
            raise ValueError(f'{recipe.title}: {name} does not differ from what is published')
        joined = found[:1]
        for row in found[1:]:
            both = _join(joined[-1], row)
            joined[-1:] = [both] if both else [joined[-1], row]
        rows += joined
    return rows


def _compare_one(recipe: PublishedRecipe, name: str, size: str, ours: Value) -> Row:
    setting = recipe.settings[name]
    claim = next((claim for claim in setting.published if size in claim.sizes), None)
    if claim is None:
        return Row(name, size, ours)
    if is_equal(ours, claim.value):
        return Row(name, size, ours, size, claim)
    if not setting.difference:
        raise ValueError(
            f'{recipe.title}, {size}: {name} is {ours} here and {claim.value} in {claim}, and no '
            'reason is given'
        )
    return Row(name, size, ours, size, claim, setting.difference)


def is_equal(ours: Value, theirs: Value) -> bool:
    """Return whether values are equal, numbers to rounding."""
    if isinstance(ours, tuple) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(is_equal, ours, theirs))
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (ours, theirs))
    return math.isclose(ours, theirs, rel_tol=1e-9) if numbers else ours == theirs


def _join(one: Row, other: Row) -> Row | None:
    """Return one row for the sizes of two, if nothing that either states is lost."""
    if (
        one.ours != other.ours
        or None not in (one.claim, other.claim)
        and _cells(one) != _cells(other)
    ):
        return None
    stated = one if one.claim else other
    return replace(stated, sizes=one.sizes + other.sizes, published=one.published + other.published)


def _cells(row: Row) -> tuple:
    return row.claim.value, str(row.claim), row.difference


def comparison_lines(recipe: PublishedRecipe, configs: Path) -> Iterator[str]:
    """Yield a Markdown table of :func:`compare`, under a heading."""
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


def _published_cells(row: Row) -> tuple[str, str]:
    if not row.claim:
        return 'none', 'ours'
    theirs, source = write_value(row.claim.value), str(row.claim)
    if row.difference:
        theirs, source = f'**{theirs}**', f'{source}. Ours differs: {row.difference}'
    if alone := [size for size in row.sizes if size not in row.published]:
        theirs += f' ({", ".join(row.published)})'
        source += f'; {", ".join(alone)}: ours'
    return theirs, source


def write_value(value: Value) -> str:
    """Return a value as the text of a cell."""
    if isinstance(value, tuple | list):
        return ', '.join(map(write_value, value))
    if value is None or isinstance(value, bool):
        return 'yes' if value else 'no'
    return f'{value:g}' if isinstance(value, float) else str(value)
