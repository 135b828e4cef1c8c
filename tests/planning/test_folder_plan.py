"""The recipe for a folder of images."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symmim_mm.planning.folder_plan import (
    ENOUGH_STEPS,
    LEAST_IMAGES,
    LEAST_STEPS,
    Shape,
    choose_recipe,
    choose_shape,
    seconds_of,
)
from symmim_mm.utils.errors import UserError


@given(side=st.integers(1, 5000))
def test_every_folder_has_a_grid_of_even_sides(side: int) -> None:
    shape = choose_shape(side)
    assert 32 <= shape.image <= 224
    assert shape.image % (2 * shape.patch) == 0
    assert 16 <= shape.patches <= 784


@pytest.mark.parametrize(
    ('side', 'image', 'patch'), [(32, 32, 4), (64, 64, 8), (100, 96, 8), (375, 224, 16)]
)
def test_shapes(side: int, image: int, patch: int) -> None:
    assert choose_shape(side) == Shape(image, patch)


@pytest.mark.parametrize('wanted', [8, 50, 200])
def test_sizes_that_cannot_be_cut_are_refused(wanted: int) -> None:
    with pytest.raises(UserError, match='multiple of'):
        choose_shape(300, wanted)


@given(
    images=st.sampled_from([LEAST_IMAGES, 300, 5000, 100_000, 2_000_000]),
    rate=st.floats(0.5, 20_000),
    seconds=st.floats(1, 1e6),
)
def test_a_budget_gives_a_sensible_recipe_or_one_refusal(
    images: int, rate: float, seconds: float
) -> None:
    try:
        recipe = choose_recipe(images, 224, 192, rate=rate, seconds=seconds)
    except UserError as error:
        assert rate * seconds < max(LEAST_STEPS * 256, images)
        minutes = int(re.search(r'give --budget (\d+)m or more', str(error))[1])
        recipe = choose_recipe(images, 224, 192, rate=rate, seconds=60 * minutes)
        assert recipe.steps >= LEAST_STEPS / 2
        return
    assert recipe.steps >= LEAST_STEPS / 2
    assert recipe.held_out + recipe.batch <= images and 8 <= recipe.held_out <= 64
    assert 0 < recipe.warmup_epochs < max(recipe.epochs, 1) or recipe.epochs == 1
    assert 0.9 <= recipe.momentum <= 0.99
    # The time is kept, but for a first epoch that is not finished and the last one's rounding.
    assert recipe.steps * recipe.batch <= rate * seconds * 1.5 + images
    assert recipe.epochs <= 800


def test_short_runs_have_small_batches_and_rates() -> None:
    """Of the same images, many small steps learn more than few large ones."""
    short, long = (
        choose_recipe(5000, 32, 192, rate=40, seconds=seconds) for seconds in (300, 3600)
    )
    assert (short.batch, long.batch) == (32, 256) and short.steps >= ENOUGH_STEPS
    assert long.lr == 1e-3 and short.lr == pytest.approx(1e-3 * (32 / 256) ** 0.5, rel=0.02)
    assert choose_recipe(5000, 32, 192, rate=40, steps=40).batch == 256


@pytest.mark.parametrize(('images', 'steps'), [(60, 100_000), (600, 40_000)])
def test_steps_that_are_asked_for_are_made(images: int, steps: int) -> None:
    recipe = choose_recipe(images, 64, 192, rate=10, steps=steps)
    assert recipe.epochs > 800 and recipe.steps == pytest.approx(steps, rel=0.01)
    assert choose_recipe(images, 64, 192, rate=1e6, seconds=3600).epochs == 800


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(UserError, match='--steps 26: 27 of 256 images are the least'):
        choose_recipe(10_000, 32, 192, rate=10, steps=26)
    assert choose_recipe(10_000, 32, 192, rate=10, steps=27).epochs == 1


def test_too_few_images_are_refused() -> None:
    with pytest.raises(UserError, match='too few to learn from'):
        choose_recipe(LEAST_IMAGES - 1, 32, 192, rate=10, epochs=1)


@pytest.mark.parametrize(('text', 'seconds'), [('90s', 90), ('2h', 7200), ('1.5m', 90)])
def test_budgets(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize('text', ['', '5', 'h', '-1h', '2 hours', 'nanh', 'infh'])
def test_bad_budgets_are_refused(text: str) -> None:
    with pytest.raises(UserError, match='--budget'):
        seconds_of(text)
