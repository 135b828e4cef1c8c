"""Tables of a study: choice of rates, pooled variance, Holm, and what is kept of a run."""

import json
from pathlib import Path

import pytest
from make_runs import record, write

from docs.evidence.build import build_parser, main
from docs.evidence.tables import (
    Score,
    accuracy_table,
    compare,
    comparison_table,
    keep,
    scores_of,
    with_evidence,
)
from symmim_mm.results.record import Record
from symmim_mm.utils.errors import UserError

NAME = 'finetune, sample'


def sweep(method: str, seed: int, **rates: tuple[float, float]) -> list[Record]:
    """One record per rate: accuracy on held-out training images, and on test images."""
    return [
        record(method, seed=seed, recipe=f'_{rate}', metrics=dict(held_out_top1=held, top1=top1))
        for rate, (held, top1) in rates.items()
    ]


def test_the_rate_is_chosen_on_held_out_images_only() -> None:
    records = [
        *sweep('mae', 0, low=(50.0, 40.0), high=(48.0, 90.0)),
        *sweep('mae', 1, low=(46.0, 42.0), high=(47.0, 90.0)),
    ]
    score = scores_of(records)[NAME]['mae']
    assert score == Score({0: 40.0, 1: 42.0}, 'finetune_low')
    assert score.text == '41.0 ± 1.4'


def test_a_seed_counts_when_every_rate_of_it_is_finished() -> None:
    records = [
        *sweep('mae', 0, low=(50.0, 40.0), high=(48.0, 41.0)),
        *sweep('mae', 1, low=(50.0, 44.0)),
        *sweep('simmim', 0, low=(50.0, 44.0)),
    ]
    assert scores_of(records)[NAME] == {'mae': Score({0: 40.0}, 'finetune_low')}


def test_comparisons_pool_the_variance_over_conditions() -> None:
    """Golden: variances 1, 1 and 4 (two degrees of freedom each) pool to 2; t(.975, 6) = 2.4469."""
    by = dict(
        checkerboard=Score(dict(enumerate([50.0, 51.0, 52.0])), ''),
        random50=Score(dict(enumerate([47.0, 48.0, 49.0])), ''),
        mae=Score(dict(enumerate([44.0, 46.0, 48.0])), ''),
    )
    first, second = compare(by)
    assert (first.second, second.second) == ('random50', 'mae')
    assert (first.points, second.points) == (3.0, 5.0)
    half = 2.446912 * (2 * 2 / 3) ** 0.5
    assert first.half_width == pytest.approx(half, rel=1e-6)
    # t = 3 / 1.1547 = 2.598 and 4.330 on 6 degrees of freedom; Holm doubles the smaller p-value.
    assert first.p == pytest.approx(0.0408, abs=2e-4)
    assert second.p == pytest.approx(2 * 0.00492, abs=2e-4)


def test_one_seed_is_compared_without_a_test() -> None:
    by = dict(checkerboard=Score({0: 50.0}, ''), random50=Score({0: 47.0}, ''))
    (only,) = compare(by)
    assert (only.points, only.half_width, only.p) == (3.0, None, None)


def test_tables() -> None:
    records = [
        record('checkerboard', 'pretrain', duration_s=600.0),
        *sweep('checkerboard', 0, low=(50.0, 40.0), high=(51.0, 41.5)),
        *sweep('mae', 0, low=(50.0, 40.0), high=(48.0, 41.0)),
    ]
    assert accuracy_table(records).splitlines() == [
        '| condition | finetune, sample | pre-training, minutes | seeds |',
        '|---|---|---|---|',
        '| `checkerboard` | 41.5 (high) | 10 | 1 |',
        '| `mae` | 40.0 (low) |  | 1 |',
    ]
    assert comparison_table(records).splitlines()[2:] == [
        '| finetune, sample | `checkerboard` - `mae` | +1.5 |  |'
    ]
    counted = [record('mae', 'pretrain', images=2 * 10**6, flops_per_image=10**7), *records]
    rows = accuracy_table(counted).splitlines()[2:]
    assert [row.split(' | ')[-2] for row in rows] == ['20.0', '']
    pairs = [('checkerboard', (90.0, 90.1)), ('mae', (50.0, 50.1))]
    far = [
        sweep(name, n, low=(top1, top1)) for name, found in pairs for n, top1 in enumerate(found)
    ]
    assert comparison_table(sum(far, [])).splitlines()[2].endswith(' | < 0.001 |')


def test_what_is_kept_names_no_path_of_the_machine(tmp_path: Path) -> None:
    item = record('mae', backbone='/secret/place/mae-pretrain-seed0/epoch_2.pth', parent='before')
    run = write(tmp_path / 'runs', item, figures=1)
    (run / 'epoch_2.pth').write_bytes(b'weights')
    kept = keep(run, tmp_path / 'kept')
    assert '/secret' not in (kept / 'result.json').read_text()
    found = Record.read(kept / 'result.json')
    assert found.backbone == 'before/epoch_2.pth'
    assert found.metrics == item.metrics
    assert (kept / found.curve).read_text() == (run / item.curve).read_text()
    names = sorted(path.name for path in kept.rglob('*') if path.is_file())
    assert names == ['result.json', 'scalars.json']


def test_a_document_is_written_from_its_records(tmp_path: Path) -> None:
    for item in sweep('mae', 0, low=(50.0, 40.0)):
        write(tmp_path / 'study', item)
    text = 'Before\n<!-- accuracies: study -->\nold\n<!-- end -->\nafter\n'
    made = with_evidence(text, tmp_path)
    assert '| `mae` | 40.0 (low) |' in made
    assert 'old' not in made
    assert with_evidence(made, tmp_path) == made
    assert json.loads((tmp_path / 'study/mae-finetune-seed0/result.json').read_text())


def test_maps_without_checkpoints_are_refused() -> None:
    with pytest.raises(UserError, match='name the work directory'):
        main(build_parser().parse_args(['--images', 'data']))
