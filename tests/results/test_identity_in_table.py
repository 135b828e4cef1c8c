"""Runs that differ in data or batches stay apart, and so do data from the public ones."""

import pytest
from make_runs import cells, data, record, suite

from symmim_mm.results.record import Batch, Data
from symmim_mm.results.render import published_for, to_markdown
from symmim_mm.results.table import Table
from symmim_mm.results.tabulate import build_tables

ALL = data(1_281_167)  # images of ImageNet


def imagenet(pretrain: Data | None, finetune: Data | None) -> Table:
    like = {'arch': 'ViT-L/16', 'dataset': 'imagenet-1k'}
    records = [record('mae', 'pretrain', **like, data=pretrain)]
    (table,), _ = build_tables([*records, record('mae', 'finetune', **like, data=finetune)])
    return table


def test_published_numbers_are_shown_only_next_to_the_same_data():
    (sample,), _ = build_tables(suite())
    assert published_for(sample) == []
    assert '85.9' not in to_markdown([sample])
    table = imagenet(data(1_281_167), data(1_281_167, 50_000, 1000))
    items = [item for row in published_for(table) for item in row.items]
    assert {(item.arch, item.dataset) for item in items} == {('ViT-L/16', 'imagenet-1k')}
    assert '### Published' in to_markdown([table])
    assert table.title == 'Pre-trained on imagenet-1k, ViT-L/16'


@pytest.mark.parametrize(
    ('pretrain', 'finetune', 'title', 'column'),
    [
        (None, None, '', ''),
        (data(300), data(300, 50, 10), '-like: 300 images', '-like: 300 + 50 images, 10 classes'),
        (data(300), data(1_281_167, 50_000, 1000), '-like: 300 images', None),
        (ALL, data(12_811, 50_000, 1000), '', '-like: 12,811 + 50,000 images, 1,000 classes'),
        (ALL, data(1_281_167, 50_000, 999), '', '-like: 1,281,167 + 50,000 images, 999 classes'),
        (ALL, data(1_281_167, 49_999, 1000), '', '-like: 1,281,167 + 49,999 images, 1,000 classes'),
    ],
)
def test_data_in_the_place_of_imagenet_are_named_by_their_counts(pretrain, finetune, title, column):
    table = imagenet(pretrain, finetune)
    assert published_for(table) == []
    assert table.title == f'Pre-trained on imagenet-1k{title}, ViT-L/16'
    label = f', imagenet-1k{column}' if column else ''
    assert table.columns[0].label == f'Fine-tune top-1{label}'


def batch(micro_batch=16, processes=4, accumulation=2, negatives=127, batch_norm=True) -> Batch:
    return Batch(
        micro_batch=micro_batch, processes=processes, accumulation=accumulation,
        negatives=negatives, batch_norm=batch_norm,
    )  # fmt: skip


@pytest.mark.parametrize(
    ('changes', 'label'),
    [
        (dict(data=data(2000, fingerprint='b')), 'SymMIM, 2,000 images bbbbbbbbbbbb'),
        (dict(data=data(1999)), 'SymMIM, 1,999 images aaaaaaaaaaaa'),
        (dict(data=None), 'SymMIM, data not recorded'),
        (dict(batch=batch(processes=2, accumulation=4)), 'SymMIM, 4 x 32 images, 127 negatives'),
        (dict(batch=batch(negatives=63)), 'SymMIM, 2 x 64 images, 63 negatives'),
        (dict(batch=batch(processes=8, micro_batch=8)), None),  # BatchNorm sees as many
    ],
)
def test_seeds_share_their_data_and_what_batch_norm_sees(changes, label):
    plain = dict(data=data(2000), batch=batch())
    records = []
    for seed, settings in enumerate((plain, plain | changes)):
        records += [record('symmim', 'pretrain', seed, **settings), record('symmim', 'knn', seed)]
    (table,), notes = build_tables(records)
    assert notes == []
    found = {row.label: row.cells[table.columns[0]].n for row in table.rows}
    if label is None:
        assert found == {'SymMIM': 2}
    else:
        assert len(found) == 2 and found[label] == 1


def test_encoders_from_elsewhere_are_no_seeds_of_one_another():
    """Both files are called model.safetensors, and neither has a record next to it."""
    records = [record('model', 'knn', backbone_sha256=digit * 64) for digit in 'ab']
    (table,), notes = build_tables(records)
    assert notes == []
    assert {row.label: row.cells[table.columns[0]].n for row in table.rows} == {
        'model, weights aaaaaaaa': 1, 'model, weights bbbbbbbb': 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ('parent', 'label'), [(None, 'SymMIM, weights aaaaaaaa'), ('stage1', 'SymMIM, from a run')]
)
def test_a_pretraining_from_weights_is_no_repetition_of_one_from_scratch(parent, label):
    scratch = record('symmim', 'pretrain')
    other = record(
        'symmim', 'pretrain', backbone_sha256='a' * 64, checkpoint_sha256='b' * 64, parent=parent
    )
    records = [scratch, other, record('symmim', 'knn')]
    records.append(record('symmim', 'knn', backbone_sha256='b' * 64))
    (table,), notes = build_tables(records)
    assert notes == []
    assert [row.label for row in table.rows] == ['SymMIM', label]
    assert all(row.cells[table.columns[0]].n == 1 for row in table.rows)


def test_transfers_to_other_data_are_another_column():
    records = [record('mae', 'pretrain', seed) for seed in (0, 1)]
    records += [record('mae', 'knn', seed, data=data(90 + seed, 10)) for seed in (0, 1)]
    (table,), _ = build_tables(records)
    assert set(cells(table)) == {
        ('MAE', 'k-NN top-1, 90 images aaaaaaaaaaaa + 10 images aaaaaaaaaaaa'),
        ('MAE', 'k-NN top-1, 91 images aaaaaaaaaaaa + 10 images aaaaaaaaaaaa'),
    }
