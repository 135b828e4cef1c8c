"""COCO's layout: annotation files, ids, categories, images."""

import json
import os
from pathlib import Path

import pytest
from coco_files import JPEG, TRAIN, VAL, changed, check, content, write
from image_samples import encode, make_image, turned

from symmim_mm.datacheck.coco.annotation_file import NAMES
from symmim_mm.datacheck.coco.layout import plan_coco
from symmim_mm.datacheck.report import Report
from symmim_mm.utils.errors import UserError


def test_clean(tmp_path: Path) -> None:
    write(tmp_path)
    assert check(tmp_path) == check(tmp_path, 2) == check(tmp_path, ['disc', 'ring']) == {}
    report = Report('coco', tmp_path)
    plan_coco(str(tmp_path), report)
    assert report.counts['train2017'] == dict(
        images=2, without_instances=0, instances=2, categories=2, polygons=1, run_lengths=1,
        crowds=1,
    )  # fmt: skip
    assert report.findings['class-count'][0] == (
        TRAIN,
        "2 categories (disc, ring) in place of COCO's 80: set metainfo=dict(classes=...) and "
        'num_classes=2',
    )


def test_full_set_of_categories_is_no_notice(tmp_path: Path) -> None:
    data = content() | {'categories': [dict(id=n + 1, name=name) for n, name in enumerate(NAMES)]}
    write(tmp_path, data, data)
    report = Report('coco', tmp_path)
    plan_coco(str(tmp_path), report)
    assert set(report.findings) == {'image-count', 'category-unused'}
    assert report.findings['category-unused'][0] == (
        TRAIN, '78 of 80: bicycle, car, motorcycle, bus, train and 73 more',
    )  # fmt: skip


@pytest.mark.parametrize(
    ('data', 'said'),
    [
        (b'{"images": [', 'Expecting value'),
        (b'[1, 2]', 'holds a list, not an object'),
        (b'[' * 100_000, 'maximum recursion depth exceeded'),
        (b'{"images": [], "annotations": []}', "has no list 'categories'"),
        (b'{"images": {}, "annotations": [], "categories": []}', "has no list 'images'"),
        (b'\xff\xfe{', "'utf-8' codec"),
        # Encodings that json would guess of bytes, and that pycocotools does not read.
        *((json.dumps(content()).encode(name), '') for name in ('utf-8-sig', 'utf-16', 'utf-32')),
    ],
)
def test_files_that_are_none(tmp_path: Path, data: bytes, said: str) -> None:
    (write(tmp_path) / TRAIN).write_bytes(data)
    ((path, found),) = check(tmp_path)['json']
    assert path == TRAIN and found.startswith(said)


def test_missing_folders(tmp_path: Path) -> None:
    inner = write(tmp_path / 'download' / 'coco')
    report = Report('coco', tmp_path)
    assert plan_coco(str(tmp_path), report).total == 0
    hint = f'found in {inner}: name that folder'
    assert report.findings == {
        'missing-folder': [(name, hint) for name in (TRAIN, VAL, 'train2017', 'val2017')]
    }
    (inner / VAL).unlink()
    assert check(inner) == {'missing-folder': [(VAL, '')]}


def test_ids(tmp_path: Path) -> None:
    data = content()
    data['images'].append(dict(id=2, file_name='c.jpg', width=64, height=48))
    data['images'].append(dict(id=3, file_name='a.jpg', width=64, height=48))
    data['annotations'].append(data['annotations'][0])
    data['categories'] += [dict(id=5, name='star'), dict(id=6, name='ring')]
    found = check(write(tmp_path, data))
    assert found['duplicate-id'] == [
        (TRAIN, 'category 2: id 5'), (TRAIN, 'category 3: name ring'),
        (TRAIN, 'image 2: id 2'), (TRAIN, 'image 3: file_name a.jpg'),
        (TRAIN, 'annotation 10 of a.jpg'),
    ]  # fmt: skip


def test_categories(tmp_path: Path) -> None:
    data = content()
    data['categories'].reverse()
    assert check(write(tmp_path, data))['class-sets'] == [
        ('annotations', f'categories of {TRAIN} and {VAL} differ in the order')
    ]
    data = changed('categories', 1, name='star')
    found = check(write(tmp_path, data))
    assert found == {
        'class-sets': [('annotations', f'categories of {TRAIN} and {VAL} differ in 5 ring, 5 star')]
    }
    assert check(write(tmp_path), ['ring', 'disc'])['classes'] == [
        (path, 'disc, ring in place of ring, disc') for path in (TRAIN, VAL)
    ]
    assert check(write(tmp_path), 80)['classes'][0] == (TRAIN, '2 in place of 80')
    found = check(write(tmp_path, changed('annotations', 1, category_id=9)))
    assert found == {
        'unknown-category': [(TRAIN, 'annotation 11 of b.jpg: category_id 9')],
        'category-unused': [(TRAIN, '1 of 2: ring')],
    }


def test_images(tmp_path: Path) -> None:
    data = content()
    data['images'] += [
        dict(id=3, file_name='gone Straße.jpg', width=64, height=48),
        dict(id=4, file_name='../a.jpg', width=64, height=48),
        dict(id=5, file_name='/etc/passwd', width=64, height=48),
        dict(id=6, file_name='deep/日本.jpg', width=64, height=20),
        dict(id=7, file_name='./c.jpg', width=64, height=48),
    ]
    write(tmp_path, data)
    (tmp_path / 'train2017/deep').mkdir()
    (tmp_path / 'train2017/deep/日本.jpg').write_bytes(encode(make_image(64, 20)))
    for name in ('more.jpg', 'c.jpg'):
        (tmp_path / 'train2017' / name).write_bytes(JPEG)
    (tmp_path / 'train2017/b.jpg').write_bytes(JPEG[:-5])
    found = check(tmp_path)
    ((path, said),) = found.pop('cut-off')
    assert path == 'train2017/b.jpg' and said.startswith('JPEG 64 x 48: image file is truncated')
    assert found == {
        'image-missing': [('train2017/gone Straße.jpg', f'listed in {TRAIN}')],
        'path-outside': [(TRAIN, 'file_name ../a.jpg'), (TRAIN, 'file_name /etc/passwd')],
        'image-small': [('train2017/deep/日本.jpg', '64 x 20')],
        'image-unlisted': [('train2017', '1 image: train2017/more.jpg')],
    }


def test_sizes(tmp_path: Path) -> None:
    """Against the size as loaded: an image on its side has its own, turned one."""
    write(tmp_path, changed('images', 0, width=48, height=64))
    (tmp_path / 'val2017/a.jpg').write_bytes(encode(make_image(64, 48), exif=turned(6)))
    found = check(tmp_path)
    assert found['size-differs'] == [
        ('train2017/a.jpg', 'image 64 x 48, annotations say 48 x 64'),
        ('val2017/a.jpg', 'image 48 x 64, annotations say 64 x 48'),
    ]
    assert set(found) == {'size-differs', 'rotated'}


def test_command(run_check, sample_data: Path, tmp_path: Path, capfd) -> None:
    root = sample_data / 'coco'
    run_check('coco', root, '--classes', 6, '--workers', 1)
    out = capfd.readouterr().out
    assert 'of 6 categories: 0 polygons' in out and 'no problems' in out
    names = tmp_path / 'names.txt'
    names.write_text('disc\nsquare\n')
    with pytest.raises(UserError, match=f'^{root}: 2 problems$'):
        run_check('coco', root, '--classes', names, '--quick')
    assert 'in place of disc, square' in capfd.readouterr().out


@pytest.mark.parametrize(
    ('changes', 'kinds'),
    [
        (dict(iscrowd=1), {'no-instances'}),
        (dict(category_id=9), {'no-instances', 'unknown-category', 'category-unused'}),
        (dict(image_id=9), {'no-instances', 'unknown-image', 'category-unused'}),
        (dict(bbox=[2, 2, 18, 0]), {'no-instances', 'box-small'}),
        (None, {'no-instances', 'category-unused'}),
    ],
)
def test_nothing_to_measure_with(tmp_path: Path, changes: dict | None, kinds: set[str]) -> None:
    """The other annotation is a crowd."""
    data = changed('annotations', 0, **changes) if changes else content() | dict(annotations=[])
    found = check(write(tmp_path, val=data), 2)
    assert set(found) == kinds
    assert found['no-instances'] == [(VAL, f'{2 if changes else 0} annotations in all')]


def test_a_pipe_in_place_of_a_file(tmp_path: Path) -> None:
    (write(tmp_path) / VAL).unlink()
    os.mkfifo(tmp_path / VAL)
    assert check(tmp_path) == {'unreadable': [(VAL, 'is not a file')]}


def test_small_images_of_any_annotation_file(tmp_path: Path) -> None:
    """Only COCO's own training set is known to be one, and read by its config."""
    data = changed('images', 0, height=20)
    root = write(tmp_path, data)
    assert check(root)['image-small'] == [('train2017/a.jpg', '64 x 20')]
    (root / TRAIN).rename(root / 'train2017/train.json')
    report = Report('coco', root)
    plan_coco(str(root / 'train2017'), report, 2, 'train.json')
    assert 'image-small' not in report.findings and report.facts['train.json']


def test_any_annotation_file(tmp_path: Path, run_check) -> None:
    """Next to its images, or with the folder of these; what is wrong in it is found."""
    root = write(tmp_path / 'coco')
    file = (root / TRAIN).rename(tmp_path / 'own.json')
    with pytest.raises(UserError, match='2 problems'):
        run_check('coco', file, '--classes', 2)  # the images are elsewhere
    run_check('coco', file, '--images', root / 'train2017', '--classes', 2)
    with pytest.raises(UserError, match='--images belongs to an annotation file'):
        run_check('coco', root, '--images', root)
