"""Entries of COCO files with missing keys and values of other types."""

from pathlib import Path
from typing import Any

import pytest
from coco_files import TRAIN, changed, check, content, write
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ('key', 'values', 'said'),
    [
        ('images', dict(width=0), 'image 0: width 0'),
        ('images', dict(height='48', width=1.5), "image 0: width 1.5, height '48'"),
        ('images', dict(id=None), 'image 0: id None'),
        ('images', dict(file_name=3), 'image 0: file_name 3'),
        ('categories', dict(name=3), 'category 0: name 3'),
        ('annotations', dict(image_id=[1]), 'annotation 0: image_id [1]'),
        ('annotations', dict(bbox='2,2,18,18'), "annotation 10 of a.jpg: bbox '2,2,18,18', area"),
        ('annotations', dict(bbox=[2, 2, 18, None]), 'annotation 10 of a.jpg: bbox [2, 2, 18, Non'),
        ('annotations', dict(bbox=[2, 2, 18, float('nan')]), 'annotation 10 of a.jpg: bbox [2, 2'),
        ('annotations', dict(bbox=[2, 2, 10**400, 2]), 'annotation 10 of a.jpg: bbox [2, 2'),
        ('annotations', dict(area=float('inf')), 'annotation 10 of a.jpg: bbox [2, 2, 18, 18], ar'),
    ],
)
def test_entries_of_wrong_types(tmp_path: Path, key: str, values: dict, said: str) -> None:
    found = check(write(tmp_path, changed(key, 0, **values)))['json-layout']
    assert len(found) == 1 and found[0][0] == TRAIN and found[0][1].startswith(said)


@pytest.mark.parametrize('key', ['images', 'annotations', 'categories'])
def test_entries_without_a_key(tmp_path: Path, key: str) -> None:
    for name in content()[key][0]:
        data = content()
        del data[key][0][name]
        found = check(write(tmp_path, data))
        if name == 'segmentation':
            assert found == {
                'segmentation-empty': [(TRAIN, 'annotation 10 of a.jpg')],
                'no-instances': [(TRAIN, '2 annotations in all')],
            }
        else:
            assert found['json-layout'][0][1].endswith(f'without {name}')
    data = content()
    data[key][0] = 'text'
    assert check(write(tmp_path, data))['json-layout'][0][1].endswith('str in place of an object')


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    key=st.sampled_from(['images', 'annotations', 'categories']),
    name=st.sampled_from(
        ['id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'segmentation', 'file_name',
         'width', 'height', 'name']
    ),
    value=json_values,
)  # fmt: skip
def test_any_value_anywhere(
    tmp_path_factory: pytest.TempPathFactory, key: str, name: str, value: Any
) -> None:
    """Whatever stands in a field, the check answers."""
    root = tmp_path_factory.mktemp('coco')
    check(write(root, changed(key, 0, **{name: value})))
