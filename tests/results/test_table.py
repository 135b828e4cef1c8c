"""What stands in which cell of the comparison table."""

import csv
import io
import statistics

import pytest
from make_runs import cells, data, record, sha, suite

from symmim_mm.results.render import row_costs, to_csv, to_markdown, to_terminal
from symmim_mm.results.table import Table
from symmim_mm.results.tabulate import build_tables


def test_rows_and_columns_in_order():
    (table,), notes = build_tables(suite())
    assert notes == []
    assert [row.label for row in table.rows] == ['SymMIM', 'MAE', 'SimMIM', 'random start', 'dino']
    labels = ['Fine-tune top-1', 'Linear top-1', 'k-NN top-1', 'Box AP', 'Mask AP', 'mIoU']
    assert [column.label for column in table.columns] == labels
    assert table.title == 'Pre-trained on sample, tiny'
    assert cells(table)['MAE', 'Mask AP'] == '15.0'
    assert len(cells(table)) == 5 * 6


def test_hours():
    records = suite()
    records[0].duration_s = 7200.0
    (table,), _ = build_tables(records)
    row = {row.label: row for row in table.rows}
    assert row['MAE'].hours_pretrain == 1 and row['MAE'].hours_total == 6
    assert row['random start'].hours_pretrain is None
    assert row['random start'].hours_total == 6


def test_hours_stay_empty_without_the_record_of_the_pretraining():
    (table,), _ = build_tables([record('mae', 'finetune')])
    assert table.rows[0].hours_total is None
    assert table.title == 'Runs without a pre-training record'


def test_mean_sample_deviation_and_count_over_seeds():
    values = (60.0, 61.0, 65.0)
    records = [record('mae', 'pretrain', seed) for seed in range(3)]
    for seed, value in enumerate(values):
        records.append(record('mae', 'finetune', seed, metrics={'top1': value}))
    records += [record('mae', 'linear', seed) for seed in range(3)]
    records += [record('mae', 'knn', 1, metrics={'top1': 44.4})]
    (table,), _ = build_tables(records)
    cell = table.rows[0].cells[table.columns[0]]
    assert cell.mean == pytest.approx(62.0)
    assert cell.std == pytest.approx(statistics.stdev(values))
    assert cell.n == 3
    assert table.title.endswith(', 3 seeds')
    assert cells(table)['MAE', 'Fine-tune top-1'] == '62.0 ± 2.6'
    assert cells(table)['MAE', 'k-NN top-1'] == '44.4 (n=1)'


def test_what_nobody_ran_is_empty():
    records = [record('mae', 'pretrain'), record('mae', 'knn'), record('mae', 'linear')]
    (table,), _ = build_tables([*records, record('simmim', 'pretrain'), record('simmim', 'knn')])
    assert [column.task for column in table.columns] == ['linear', 'knn']
    assert '| MAE | 60.0 | 60.0 |' in to_markdown([table])
    assert '| SimMIM |  | 60.0 |' in to_markdown([table])


def test_another_transfer_config_is_another_column():
    records = [record('mae', 'pretrain'), record('mae', 'finetune')]
    records.append(record('mae', 'finetune', recipe='_long', metrics={'top1': 70.0}))
    (table,), notes = build_tables(records)
    values = {label: text for (_, label), text in cells(table).items()}
    assert sorted(values.values()) == ['60.0', '70.0'] and notes == []
    assert any('finetune_long' in label for label in values)


def test_another_pretraining_config_is_another_row():
    records = [
        record('mae', 'pretrain'),
        record('mae', 'pretrain', recipe='_800'),
        record('mae', 'knn'),
        record('mae', 'knn', pretrain='_800', metrics={'top1': 70.0}),
    ]
    (table,), notes = build_tables(records)
    assert notes == []
    labels = ['MAE, configs/pretrain.py', 'MAE, configs/pretrain_800.py']
    assert [row.label.rpartition(' ')[0] for row in table.rows] == labels
    assert [table.text(row.cells[table.columns[0]]) for row in table.rows] == ['60.0', '70.0']


def test_another_dataset_or_architecture_is_another_table():
    records = suite() + [
        record('mae', 'pretrain', dataset='cifar10', recipe='_c'),
        record('mae', 'knn', dataset='cifar10', pretrain='_c', recipe='_c'),
        record('random', 'knn', dataset='cifar10', recipe='_c', metrics={'top1': 22.0}),
        record('mae', 'pretrain', arch='vit-large', recipe='_l'),
        record('random', 'knn', dataset='other', recipe='_o'),
    ]
    tables, _ = build_tables(records)
    assert [table.title for table in tables] == [
        'Pre-trained on cifar10, tiny',
        'Pre-trained on sample, tiny',
        'Pre-trained on sample, vit-large',
        'Runs without a pre-training record',
    ]
    assert [row.label for row in tables[0].rows] == ['MAE', 'random start']
    assert cells(tables[0])['random start', 'k-NN top-1'] == '22.0'
    assert cells(tables[1])['random start', 'k-NN top-1'] == '60.0'


def test_a_training_from_scratch_is_a_row_next_to_the_same_data():
    tables, _ = build_tables([
        record('mae', 'pretrain'),
        record('mae', 'finetune'),
        record('mae', 'knn'),
        record('scratch', 'finetune', recipe='_s', metrics={'top1': 50.0}, backbone_sha256=None),
        record('scratch', 'finetune', recipe='_l', arch='vit-large', backbone_sha256=None),
    ])  # fmt: skip
    assert [table.title for table in tables][1:] == ['Runs without a pre-training record']
    assert cells(tables[0]) == {
        ('MAE', 'Fine-tune top-1'): '60.0',
        ('MAE', 'k-NN top-1'): '60.0',
        ('scratch', 'Fine-tune top-1'): '50.0',
    }
    assert tables[0].rows[-1].hours_total is not None
    *_, line = csv.DictReader(io.StringIO(to_csv(tables[:1])))
    origin = [line[f'pretrain_{name}'] for name in ('dataset', 'config', 'config_sha256')]
    assert (line['method'], *origin) == ('scratch', '', '', '')
    assert cells(tables[1]) == {('scratch', 'Fine-tune top-1'): '60.0'}


def test_of_repeated_runs_the_last_counts_and_a_note_says_so():
    old = record('mae', 'finetune', metrics={'top1': 10.0}, finished='2026-01-01T00:00:00Z')
    new = record('mae', 'finetune', metrics={'top1': 20.0}, finished='2026-01-02T00:00:00Z')
    (table,), notes = build_tables([record('mae', 'pretrain'), new, old])
    assert cells(table)['MAE', 'Fine-tune top-1'] == '20.0'
    assert len(notes) == 1 and '2 records' in notes[0]


def test_a_repeated_pretraining_is_not_counted_as_another_seed():
    late = dict(finished='2026-01-01T00:30:00-01:00')
    again = record('mae', 'pretrain', checkpoint_sha256=sha('again'), **late)
    transfer = record('mae', 'knn', backbone_sha256=sha('again'), metrics={'top1': 70.0}, **late)
    records = [record('mae', 'pretrain'), record('mae', 'knn'), again, transfer]
    (table,), notes = build_tables(records)
    assert cells(table) == {('MAE', 'k-NN top-1'): '70.0'}
    assert len(notes) == 2


def test_chance():
    (table,), _ = build_tables([record('mae', 'pretrain'), record('mae', chance={'top1': 10.0})])
    assert table.chance == {table.columns[0]: 10.0}
    assert '| *chance* | 10.0 |  |' in to_markdown([table])
    assert len(to_terminal([table])) == 1


def two_methods(mae: list[float], symmim: list[float]) -> Table:
    records = []
    for method, values in (('mae', mae), ('symmim', symmim)):
        for seed, value in enumerate(values):
            records += [record(method, 'pretrain', seed), record(method, 'knn', seed)]
            records[-1].metrics = {'top1': value}
    (table,), _ = build_tables(records)
    return table


@pytest.mark.parametrize(
    ('mae', 'symmim', 'best'),
    [
        ([70.0], [20.0], False),
        ([70.0, 70.1], [20.0, 20.1], False),
        ([70.0, 70.1, 70.2], [20.0], False),
        ([70.0, 71.0, 72.0], [69.0, 70.0, 71.0], False),
        # Both have the variance 1: half the interval is t(4, 0.975) sqrt(2 / 3) = 2.267.
        ([70.0, 71.0, 72.0], [67.74, 68.74, 69.74], False),
        ([70.0, 71.0, 72.0], [67.72, 68.72, 69.72], True),
        ([70.0] * 3, [70.0] * 3, False),
    ],
)
def test_best_is_what_is_beyond_the_spread_of_three_seeds(mae, symmim, best):
    table = two_methods(mae, symmim)
    cells = {row.label: row.cells.get(table.columns[0]) for row in table.rows}
    assert table.best(table.columns[0]) is (cells['MAE'] if best else None)
    assert ('**' in to_markdown([table])) == best


def test_an_accuracy_of_one_seed_has_a_binomial_error():
    records = [
        record('mae', 'pretrain'),
        record('mae', 'knn', metrics={'top1': 90.0}, data=data(val=900)),
        record('mae', 'segmentation', data=data(val=900)),
    ]
    (table,), _ = build_tables(records)
    assert set(cells(table).values()) == {'90.0 (± 1.0 binomial)', '30.0'}


def test_csv_has_full_precision():
    third = record('mae', 'finetune', metrics={'top1': 100 / 3})
    tables, _ = build_tables([record('mae', 'pretrain'), third])
    lines = list(csv.DictReader(io.StringIO(to_csv(tables))))
    named = [(line['task'], line['metric']) for line in lines]
    assert named == [('pretrain', 'loss'), ('finetune', 'top1')]
    assert float(lines[1]['mean']) == 100 / 3
    assert lines[1]['std'] == '' and lines[1]['n'] == '1' and lines[1]['seeds'] == '0'
    assert lines[1]['config_sha256'] == third.config_sha256


def test_costs_of_a_row():
    pretrain = record(
        'mae', 'pretrain', data=data(2000), images=5000, flops_per_image=2 * 10**12,
        hardware={'world_size': 8},
    )  # fmt: skip
    (table,), _ = build_tables([pretrain, record('mae', 'knn')])
    assert row_costs(table.rows[0]) == ['2.5', '5,000', '10', '8.0', '9.0']
    # 100 hours of 8 processes and, resumed, 10 of 16.
    resumed = dict(duration_s=110 * 3600.0, device_s=960 * 3600.0, hardware={'world_size': 16})
    (table,), _ = build_tables([record('mae', 'pretrain', **resumed)])
    assert row_costs(table.rows[0]) == ['', '', '', '960.0', '']


def test_markdown_escapes_what_is_markup():
    item = record('a|b<script>', 'knn')
    text = to_markdown(build_tables([item])[0])
    assert 'a\\|b&lt;script>' in text
