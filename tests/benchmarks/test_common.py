"""Benchmarks compare within a repeat, and documents hold what results say."""

import json
from pathlib import Path

import pytest
from paths import ROOT

from benchmarks import common
from benchmarks.common import Sample, interleave, rates, spread, timed, write_result
from benchmarks.document import with_tables
from symmim_mm.utils.errors import UserError


def test_cases_take_turns_from_another_one_each_time() -> None:
    order = []
    cases = {name: lambda name=name: order.append(name) or Sample(1, 1, 1) for name in 'abc'}
    lines = []
    samples = interleave(cases, 3, lines.append)
    assert order == list('abcbcacab') and len(lines) == 9
    assert {name: len(found) for name, found in samples.items()} == dict(a=3, b=3, c=3)
    assert len(interleave(cases, 3, until=0.0)['a']) == 1  # its time is over
    with pytest.raises(UserError, match='repeats must be 1 or more'):
        interleave(cases, 0)


def test_ratios_are_those_of_the_same_repeat() -> None:
    """A machine that halves its speed changes the rates, not the ratio."""
    slow = [Sample(100, seconds, 9) for seconds in (1.0, 2.0, 4.0)]
    fast = [Sample(100, seconds / 2, 3) for seconds in (1.0, 2.0, 4.0)]
    found = rates(dict(stock=slow, ours=fast), 'stock')
    assert found['ours']['ratio'] == dict(median=2.0, low=2.0, high=2.0)
    assert found['stock']['ratio'] == dict(median=1.0, low=1.0, high=1.0)
    assert found['stock']['rate'] == dict(median=50.0, low=37.5, high=75.0)
    by_processor = rates(dict(stock=slow, ours=fast), 'stock', 'cpu_seconds')
    assert by_processor['ours']['ratio'] == pytest.approx(dict(median=3.0, low=3.0, high=3.0))
    assert json.loads(json.dumps(found)) == found


def test_spread() -> None:
    assert spread([3.0]) == dict(median=3.0, low=3.0, high=3.0)
    assert spread([1.0, 3.0]) == dict(median=2.0, low=1.0, high=3.0)
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == dict(median=3.0, low=2.0, high=4.0)


def test_timed_counts_processor_time() -> None:
    sample = timed(lambda: sum(i * i for i in range(300_000)) * 0 + 7)
    assert sample.amount == 7 and sample.seconds > 0 and sample.cpu_seconds > 0


def test_environment_is_recorded() -> None:
    found = common.environment()
    assert found['cores_usable'] >= 1 and found['processor'] and found['versions']['torch']
    assert json.loads(json.dumps(found)) == found


def test_results_are_whole(tmp_path: Path) -> None:
    path = tmp_path / 'deep' / 'result.json'
    write_result(path, dict(a=1))
    assert json.loads(path.read_text()) == dict(a=1)
    with pytest.raises(TypeError):
        write_result(path, dict(a=object()))
    assert json.loads(path.read_text()) == dict(a=1)
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='cannot write'):
        write_result(tmp_path / 'file' / 'result.json', {})


DOCUMENT = """\
# Speed
<!-- table: startup-small cases -->
old
<!-- end -->
between <!-- table: startup-small environment --> is text
<!-- table: startup-small environment -->
<!-- end -->
after
"""


def startup_result() -> dict:
    case = dict(
        seconds=spread([1.0, 2.0, 4.0]),
        times_faster=spread([1.0]),
        peak_mib=spread([500.0]),
        added_mib=spread([60.4]),
    )
    environment = dict(
        date='2026-01-02', processor='Test', cores_usable=2, gpus=[], load_average=[0.1],
        threads=1, python='3.11', versions=dict(torch='2'),
    )  # fmt: skip
    return dict(
        benchmark='startup', command='tools/benchmark.py startup', repeats=3, cases=dict(ours=case),
        settings=dict(images=5), environment=environment,
    )  # fmt: skip


def test_tables_come_from_results(tmp_path: Path) -> None:
    write_result(tmp_path / 'startup-small.json', startup_result())
    text = with_tables(DOCUMENT, tmp_path)
    row = '| ours | 2.00 s (1.50 to 3.00) | 1.0 (1.0 to 1.0) | 60 MiB | 500 MiB |'
    assert row in text and 'old' not in text and text.endswith('after\n')
    assert '`tools/benchmark.py startup` (2026-01-02; 2 cores of Test; load average 0.1' in text
    assert with_tables(text, tmp_path) == text
    with pytest.raises(UserError, match='has no table none, only cases'):
        with_tables('<!-- table: startup-small none -->\n<!-- end -->', tmp_path)
    with pytest.raises(UserError, match='cannot read .*loader.json.* make it with tools/benchmark'):
        with_tables('<!-- table: loader alone -->\n<!-- end -->', tmp_path)


@pytest.mark.parametrize('name', ['performance', 'evidence'])
def test_the_tables_of_our_documents_are_those_of_their_results(name: str) -> None:
    text = (ROOT / f'docs/{name}.md').read_text()
    assert with_tables(text, ROOT / 'docs/benchmarks') == text and '<!-- table: ' in text
