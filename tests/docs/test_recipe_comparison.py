"""Our recipes beside published ones: read off the configs, no difference without a reason."""

from dataclasses import replace
from pathlib import Path

import pytest
from paths import ROOT

from docs.recipes.comparison import (
    RECIPES,
    Comparison,
    compare,
    comparison_lines,
    is_equal,
    write_value,
)
from docs.recipes.fields import FIELDS
from docs.recipes.published import Claim, PublishedRecipe

CONFIGS = ROOT / 'configs'
TOY = PublishedRecipe(
    title='Toy',
    configs='mae/vit_{size}_pretrain.py',
    fields=('batch', 'length'),
    claims=(
        Claim('B', 'paper', dict(batch=4096)),
        Claim('BL', 'code', dict(batch=2048, length='1600 epochs')),
    ),
    differences=dict(batch='why not', length='time'),
)


def test_rows_of_a_toy_recipe():
    """The first claim counts; sizes with one value and one claim share a row."""
    with pytest.raises(ValueError, match="'batch'"):  # B does not differ, but L does
        compare(replace(TOY, claims=(TOY.claims[0], Claim('L', 'code', {}))), CONFIGS)
    assert compare(TOY, CONFIGS) == [
        Comparison('batch', 'SB', 4096, 'B', 4096, 'paper'),
        Comparison('batch', 'L', 4096, 'L', 2048, 'code', 'why not'),
        Comparison('length', 'SBL', '800 epochs', 'BL', '1600 epochs', 'code', 'time'),
    ]
    assert list(comparison_lines(TOY, CONFIGS))[-3:] == [
        '| batch | S, B | 4096 | 4096 (B) | paper; S: ours |',
        '| batch | L | 4096 | **2048** | code. Ours differs: why not |',
        '| length | S, B, L | 800 epochs | **1600 epochs** (B, L) | code. Ours differs: time; '
        'S: ours |',
    ]


def test_a_difference_without_a_reason_is_a_mistake():
    recipe = replace(TOY, differences=dict(batch='why not'))
    with pytest.raises(ValueError, match='length is 800 epochs here and 1600 epochs in code'):
        compare(recipe, CONFIGS)


def test_a_reason_without_a_difference_is_a_mistake():
    recipe = replace(TOY, claims=(), differences=dict(batch='why not'))
    with pytest.raises(ValueError, match='batch'):
        compare(recipe, CONFIGS)


def test_what_nobody_publishes_is_ours():
    recipe = replace(TOY, claims=(), differences={})
    assert list(comparison_lines(recipe, CONFIGS))[-1] == (
        '| length | S, B, L | 800 epochs | none | ours |'
    )


def test_equality_and_words():
    assert is_equal(2.4e-3, 1.5e-4 * 16) and is_equal((0.2, 1), (0.2, 1.0))
    assert not is_equal((0.2, 1.0), (0.2,)) and not is_equal(None, 0.0)
    assert [write_value(v) for v in (None, True, 1e-5, (9, 0.5), 'cosine', 4096)] == [
        'no', 'yes', '1e-05', '9, 0.5', 'cosine', '4096'
    ]  # fmt: skip


@pytest.mark.parametrize('recipe', RECIPES, ids=lambda recipe: recipe.title)
def test_settings_and_sizes_of_claims_exist(recipe: PublishedRecipe):
    """What a claim states is shown, and stated once for a size."""
    assert set(recipe.fields) <= set(FIELDS)
    for size in 'SBL':
        assert (CONFIGS / recipe.configs.format(size=size.lower())).is_file()
        stated = [key for claim in recipe.claims if size in claim.sizes for key in claim.values]
        assert len(stated) == len(set(stated)), size
        assert set(stated) <= set(recipe.fields)


def test_every_full_size_recipe_of_three_sizes_is_compared():
    compared = {r.configs.format(size=size) for r in RECIPES for size in 'sbl'}
    there = {
        path.relative_to(CONFIGS).as_posix()
        for folder in ('symmim', 'mae', 'simmim', 'classification', 'detection', 'segmentation')
        for path in (CONFIGS / folder).glob('*.py')
    }
    assert there - compared == {'symmim/vit_b_sparse_pretrain.py'}


@pytest.mark.slow
def test_the_document_says_what_the_configs_say():
    """The comparison in docs/recipes.md is made anew; `make docs` writes it."""
    from docs.recipes.document import write_comparison

    document = (ROOT / 'docs' / 'recipes.md').read_text()
    assert document.endswith(write_comparison(CONFIGS)), 'run `make docs`'


@pytest.mark.slow
def test_the_document_is_what_its_command_makes(tool, tmp_path: Path):
    result = tool('../docs/recipes/build.py', '--check', timeout=3600)
    assert result.returncode == 0, result.stderr
