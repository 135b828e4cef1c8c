"""Laws of growth against data that obey them, and the benchmark, small."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.growth import config_at, draw, fit, tables
from benchmarks.laws import evaluate, in_words, polynomial, power
from symmim_mm.utils.errors import UserError

TOKENS = [197, 257, 401, 577, 785]
positive = st.floats(1e-6, 1e3)


@given(positive, positive, positive)
def test_a_polynomial_is_found_again(first: float, second: float, third: float) -> None:
    """All terms count: the coefficients are of one size where the powers are."""
    y = [first + second * x / 785 + third * (x / 785) ** 2 for x in TOKENS]
    law = polynomial(TOKENS, y, 2)
    assert law['largest_error'] < 1e-6
    for x, value in zip(TOKENS, y, strict=True):
        assert evaluate(law, x) == pytest.approx(value, rel=1e-6)


@given(st.floats(-3, 3), positive)
def test_a_power_is_found_again(exponent: float, factor: float) -> None:
    law = power(TOKENS, [factor * x**exponent for x in TOKENS])
    assert law['exponent'] == pytest.approx(exponent, abs=1e-6)
    assert law['factor'] == pytest.approx(factor, rel=1e-4) and law['largest_error'] < 1e-6


def test_errors_are_relative() -> None:
    """Of three points through which no line goes, the small ones weigh as much as the large."""
    law = polynomial([1, 2, 3], [1.0, 200.0, 100.0], 1)
    assert law['largest_error'] == max(abs(error) for error in law['errors'])
    assert abs(law['errors'][0]) < 0.1 < law['largest_error']
    with pytest.raises(UserError, match='as many points'):
        polynomial([1, 2], [1.0, 2.0], 2)
    with pytest.raises(UserError, match='positive'):
        power([1, 2], [1.0, 0.0])


def test_laws_in_words() -> None:
    assert in_words(dict(kind='polynomial', coefficients=[0.5, -2e-3, 1e-6]), 'n') == (
        '0.5 - 0.002 n + 1e-06 n^2'
    )
    line = polynomial(TOKENS, [3.0 * x for x in TOKENS], 1)
    assert in_words(line, 'b') == '3 b' and line['coefficients'] == [0.0, pytest.approx(3)]


@pytest.mark.parametrize('method', ['symmim', 'mae'])
def test_configs_along_the_axes(method: str) -> None:
    cfg = config_at(method, 's', 448, None)
    assert cfg.model.backbone.img_size == 448 and cfg.model.backbone.arch == 'deit-small'
    if method == 'mae':
        assert cfg.model.neck.num_patches == 784
    arch = config_at(method, 's', 224, 24).model.backbone.arch
    assert (arch['num_layers'], arch['embed_dims'], arch['num_heads']) == (24, 384, 6)
    with pytest.raises(UserError, match='no multiple of the patch size 16'):
        config_at(method, 's', 230, None)


def points() -> list[dict]:
    return [
        dict(
            value=x,
            image=224,
            batch=2,
            seconds=dict(median=x / 100, low=x / 110, high=x / 90),
            bytes=x * 2**20,
            operations=x * 10**9,
        )
        for x in TOKENS
    ]


def test_tables_and_figure(tmp_path) -> None:
    result = dict(axes=dict(tokens=dict(points=points(), laws=fit('tokens', points()))))
    found = tables(result)
    assert '| 785 | 7.85 (7.14 to 8.72) | 3.98 | 3.98 | 785 MiB | 3.98 |' in found['tokens']
    assert '| n^1.00 |' in found['laws']
    for name in ('one.svg', 'two.svg'):
        draw(result, tmp_path / 'deep' / name)
    one, two = (tmp_path / 'deep' / name for name in ('one.svg', 'two.svg'))
    assert '<svg' in one.read_text() and one.read_bytes() == two.read_bytes()


@pytest.mark.slow
def test_command(tool, tmp_path) -> None:
    result = tmp_path / 'growth.json'
    done = tool(
        'benchmark.py', 'growth', '--size', 'quickstart', '--images', '64', '96', '128',
        '--batches', '2', '4', '6', '--depths', '1', '2', '3', '--repeats', '1',
        '--json', result, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    axes = json.loads(result.read_text())['axes']
    assert [point['value'] for point in axes['tokens']['points']] == [65, 145, 257]
    assert [point['value'] for point in axes['batch']['points']] == [2, 4, 6]
    assert axes['batch']['laws']['operations_power']['exponent'] == pytest.approx(1)
    memory = [point['bytes'] for point in axes['depth']['points']]
    assert memory == sorted(memory) and memory[0] > 0
    assert (tmp_path / 'growth.svg').exists() and 'tokens: seconds' in done.stdout
    wrong = tool('benchmark.py', 'growth', '--batches', '2', '4', '--json', result)
    assert wrong.returncode == 2 and '--batches needs three different values' in wrong.stderr
