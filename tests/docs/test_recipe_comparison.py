"""Our recipes next to published ones: read from the configs, no difference without a reason."""

import re

import pytest
from paths import ROOT

from docs.recipes.comparison import (
    PUBLISHED,
    RECIPES,
    Claim,
    PublishedRecipe,
    Row,
    Setting,
    compare,
    comparison_lines,
    is_equal,
    read_recipe,
    write_value,
)
from docs.recipes.document import (
    full_configs,
    make_plans,
    schedule_lines,
    size_lines,
    write_comparison,
)
from docs.recipes.fields import FIELDS

DOCUMENT = ROOT / 'docs' / 'recipes.md'
CONFIGS = ROOT / 'configs'
PAPER = Claim(sizes='B', value=4096, source='paper')
CODE = Claim(sizes='BL', value=2048, source=['code', 'more'], detail='2 x 1024', borrowed=True)
SOURCE = re.compile(r'[\w.-]+/[\w.-]+@[0-9a-f]{7}:[\w./-]+|arXiv:\d{4}\.\d{5}')
LONGER = Claim(sizes='BL', value='1600 epochs', source='code')


def toy(**settings: Setting) -> PublishedRecipe:
    return PublishedRecipe(title='Toy', configs='mae/vit_{size}_pretrain.py', settings=settings)


def test_rows_of_a_toy_recipe() -> None:
    """The first claim counts; sizes with one value and one claim share a row."""
    recipe = toy(
        batch=Setting(published=[PAPER, CODE], difference='why not'),
        length=Setting(published=[LONGER], difference='time'),
        clip=Setting(),
    )
    assert compare(recipe, CONFIGS) == [
        Row('batch', 'SB', 4096, 'B', PAPER),
        Row('batch', 'L', 4096, 'L', CODE, 'why not'),
        Row('length', 'SBL', '800 epochs', 'BL', LONGER, 'time'),
        Row('clip', 'SBL', None),
    ]
    assert list(comparison_lines(recipe, CONFIGS))[-4:] == [
        '| batch | S, B | 4096 | 4096 (B) | paper; S: ours |',
        '| batch | L | 4096 | **2048** | borrowed: code, more (2 x 1024). Ours differs: why not |',
        '| length | S, B, L | 800 epochs | **1600 epochs** (B, L) | code. Ours differs: time; '
        'S: ours |',
        '| gradient clipping | S, B, L | no | none | ours |',
    ]


def test_a_difference_without_a_reason_is_a_mistake() -> None:
    with pytest.raises(ValueError, match='length is 800 epochs here and 1600 epochs in code'):
        compare(toy(length=Setting(published=[LONGER])), CONFIGS)


def test_a_reason_without_a_difference_is_a_mistake() -> None:
    with pytest.raises(ValueError, match='batch does not differ'):
        compare(toy(batch=Setting(published=[PAPER], difference='why not')), CONFIGS)


def test_equality_and_words() -> None:
    assert is_equal(2.4e-3, 1.5e-4 * 16) and is_equal((0.2, 1), [0.2, 1.0])
    assert not is_equal((0.2, 1.0), [0.2]) and not is_equal(None, 0.0)
    assert [write_value(v) for v in (None, True, 1e-5, (9, 0.5), 'cosine', 4096)] == [
        'no', 'yes', '1e-05', '9, 0.5', 'cosine', '4096'
    ]  # fmt: skip


@pytest.mark.parametrize('name', RECIPES)
def test_settings_and_sizes_of_claims_exist(name: str) -> None:
    """A setting is stated once for a size."""
    recipe = read_recipe(name)
    assert set(recipe.settings) <= set(FIELDS)
    for size in 'SBL':
        assert (CONFIGS / recipe.configs.format(size=size.lower())).is_file()
        for setting in recipe.settings.values():
            assert sum(size in claim.sizes for claim in setting.published) <= 1


@pytest.mark.parametrize('name', RECIPES)
def test_every_source_is_a_file_of_a_commit_or_a_paper(name: str) -> None:
    settings = read_recipe(name).settings.values()
    claims = [claim for setting in settings for claim in setting.published]
    sources = {
        source
        for claim in claims
        for source in ([claim.source] if isinstance(claim.source, str) else claim.source)
    }
    assert sources and {source for source in sources if not SOURCE.fullmatch(source)} == set()


def test_every_file_is_a_recipe_of_the_document() -> None:
    assert {path.stem for path in PUBLISHED.iterdir()} == set(RECIPES)


def test_every_full_size_recipe_of_three_sizes_is_compared() -> None:
    compared = {read_recipe(name).configs.format(size=s) for name in RECIPES for s in 'sbl'}
    there = {
        path.relative_to(CONFIGS).as_posix()
        for folder in ('symmim', 'mae', 'simmim', 'classification', 'detection', 'segmentation')
        for path in (CONFIGS / folder).glob('*.py')
    }
    near = (
        'classification/vit_{}_linear_cls_imagenet.py',
        'classification/vit_{}_linear_features_imagenet.py',  # nobody's recipe
        'detection/mask-rcnn_vit_{}_100ep_coco.py',
    )
    differ = {name.format(size) for name in near for size in 'sbl'}  # in a few values
    ours = {f'symmim/vit_b_{kind}_pretrain.py' for kind in ('literal', 'masks')}
    assert there - compared == ours | differ


@pytest.mark.slow
def test_the_document_is_up_to_date() -> None:
    """Rows of ViT-B, one of each other size, and all that is published.

    The nightly checks compare the whole document; other sizes are ViT-B's configs and three lines.
    """
    text, full = DOCUMENT.read_text(), full_configs(CONFIGS)
    others = ('symmim/vit_s_pretrain', 'symmim/vit_l_pretrain')
    plans = make_plans(CONFIGS, [name for name in full if '_b_' in name or name in others])
    rows = [*size_lines(plans), *schedule_lines(plans)]
    assert len(rows) > 30 and not [row for row in rows if row not in text.splitlines()]
    named = re.findall(r'^\| (\w+/\S+) \|', text.partition('## Steps')[0], re.MULTILINE)
    assert named == full
    assert text.endswith(write_comparison(CONFIGS))
