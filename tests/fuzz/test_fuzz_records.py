"""Any records and curves: a right result, or one clear line."""

import json

import pytest
from fuzzing import cases, one_line
from hostile_runs import SHA, record
from hypothesis import given
from hypothesis import strategies as st

from symmim_mm.results.collect import collect
from symmim_mm.results.page.chart import Series, chart
from symmim_mm.results.record import Record
from symmim_mm.utils.errors import UserError

pytestmark = pytest.mark.slow

GOOD_RECORD = record(
    method='symmim', task='finetune', metrics={'top1': 50.0}, chance={'top1': 10.0}, images=1,
    data={'train': {'images': 1, 'classes': 2, 'fingerprint': SHA}, 'val': {'images': 1}},
    batch={'micro_batch': 1, 'processes': 1, 'accumulation': 1, 'batch_norm': True},
    flops_per_image=1, peak_memory_mib=1.0,
)  # fmt: skip
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.integers(10**300, 10**310),
        st.text(max_size=8), st.sampled_from(['random', 'pretrain', 'knn', '../x', '/x', '\0',
                                              SHA, '2026-01-01T00:00:00Z', '\ud800']),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3),
                            st.dictionaries(st.sampled_from(['top1', 'loss', 'cpu', 'gpus', 'x']),
                                            inner, max_size=3)),
    max_leaves=5,
)  # fmt: skip


@cases(1500)
@given(st.dictionaries(st.sampled_from([*GOOD_RECORD, 'other']), JSON, max_size=3),
       st.sets(st.sampled_from(sorted(GOOD_RECORD)), max_size=1))  # fmt: skip
def test_record(tmp_path_factory: pytest.TempPathFactory, changes: dict, missing: set) -> None:
    """A record that is taken can also be shown."""
    folder = tmp_path_factory.getbasetemp() / 'record'
    folder.mkdir(exist_ok=True)
    values = {key: value for key, value in (GOOD_RECORD | changes).items() if key not in missing}
    (folder / 'result.json').write_text(json.dumps(values))
    try:
        found = Record.read(folder / 'result.json')
    except UserError as error:
        return one_line(error)
    assert found.run and found.seed == values['seed']
    assert collect([folder], folder.parent / 'shown').page.is_file()
    return None


@cases(500)
@given(st.binary(max_size=60))
def test_record_of_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / 'result.json'
    file.write_bytes(content)
    with pytest.raises(UserError) as error:
        Record.read(file)
    one_line(error.value)


@cases(500)
@given(st.lists(st.tuples(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100).map(
    lambda value: value if abs(value) > 1e-100 else 0.0)), max_size=6))  # fmt: skip
def test_chart(points: list) -> None:
    svg = chart([Series('x', 0, points)], 'x', 'y')
    assert bool(svg) == bool(points) and 'nan' not in svg and 'inf' not in svg
