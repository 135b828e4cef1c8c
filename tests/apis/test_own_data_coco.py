"""COCO files of one's own are checked before anything of a detection is planned or timed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from own_data import write
from PIL import Image

from symmim_mm.apis.own_data.coco_file import open_coco
from symmim_mm.apis.own_data.detect import detect
from symmim_mm.datacheck.header import ORIENTATION
from symmim_mm.utils.errors import UserError

WIDTH, HEIGHT = 60, 40
RUNS = dict(size=[HEIGHT, WIDTH], counts=[100, 50, WIDTH * HEIGHT - 150])


def objects(content: dict[str, Any], **change: Any) -> None:
    for entry in content['annotations']:
        entry |= change


@pytest.fixture(autouse=True)
def no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail, in place of training for an hour, where something is not refused."""

    def fail(*args: object) -> None:
        raise AssertionError('steps are timed')

    monkeypatch.setattr('symmim_mm.apis.own_data.transfer.measure_rate', fail)


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """Return an annotation file of ten images, which are there, with two objects each."""
    images, annotations = [], []
    for number in range(10):
        pixels = np.full((HEIGHT, WIDTH, 3), 20 * number, np.uint8)
        write(tmp_path / f'images/{number}.jpg', pixels)
        images.append(dict(id=number + 5, file_name=f'{number}.jpg', width=WIDTH, height=HEIGHT))
        for left in (5, 25):
            polygon = [left, 5, left + 15, 5, left + 15, 25, left, 25]
            annotations.append(dict(
                id=len(annotations) + 1, image_id=number + 5, category_id=3, iscrowd=0,
                bbox=[left, 5, 15, 20], area=300, segmentation=[polygon],
            ))  # fmt: skip
    return dict(images=images, annotations=annotations, categories=[dict(id=3, name='cell')])


def save(content: dict[str, Any], root: Path) -> tuple[Path, Path]:
    (root / 'a.json').write_text(json.dumps(content))
    return root / 'a.json', root / 'images'


def refusal(content: dict[str, Any], root: Path, **options: Any) -> str:
    """Return why `detect` refuses a file, before it plans, times or writes anything."""
    with pytest.raises(UserError) as error:
        detect(*save(content, root), out=root / 'out', workers=0, **options)
    assert not (root / 'out').exists()
    assert '\n' not in str(error.value)
    return str(error.value)


WRONG: dict[str, tuple[Callable[[dict], object], str]] = {
    'no list': (lambda content: content.pop('images'), "has no list 'images'"),
    'no name': (lambda content: content['categories'][0].pop('name'), 'category 0: without name'),
    'no area': (
        lambda content: [entry.pop('area') for entry in content['annotations']],
        'annotation 0: without area and 19 more (json-layout: ',
    ),
    'no bbox': (lambda content: content['annotations'][3].pop('bbox'), '3: without bbox (json'),
    'no image': (lambda content: content['annotations'][3].pop('image_id'), 'without image_id ('),
    'no object': (lambda content: content['annotations'].append(None), '20: a NoneType in place'),
    'no iscrowd': (lambda content: content['annotations'][1].pop('iscrowd'), 'without iscrowd ('),
    'no height': (lambda content: content['images'][1].pop('height'), 'image 1: without height ('),
    'a null box': (lambda content: objects(content, bbox=None), 'bbox None, area 300 and 19 more'),
    'ids': (lambda content: objects(content, id=1), 'annotation 1 of 0.jpg and 18 more (duplicate'),
    'corners': (
        lambda content: objects(content, bbox=[50, 30, 55, 35]),
        '20 of 20; COCO boxes are [left, top, width, height] in pixels',
    ),
    'some masks': (
        lambda content: content['annotations'][0].update(segmentation=[]),
        'to learn boxes alone, remove segmentation from all annotations',
    ),
    'other runs': (
        lambda content: objects(content, segmentation=RUNS | dict(size=[9, 9])),
        'made for 9 x 9, image 60 x 40 and 19 more (rle: ',
    ),
    'other image ids': (
        lambda content: objects(content, image_id='5'),
        'unknown-image: 20 annotations of image_id 5',
    ),
    'crowds alone': (lambda content: objects(content, iscrowd=1), '(no-instances: none but crowds'),
}  # fmt: skip


@pytest.mark.parametrize('what', WRONG)
def test_what_training_would_stop_at_is_refused_first(
    what: str, content: dict, tmp_path: Path
) -> None:
    change, message = WRONG[what]
    change(content)
    text = refusal(content, tmp_path)
    assert text.startswith(f'{tmp_path}/a.json: ') and message in text
    assert f'`symmim check coco {tmp_path}/a.json --images {tmp_path}/images` finds all' in text


def test_a_validation_file_needs_masks_if_there_are_any(content: dict, tmp_path: Path) -> None:
    (tmp_path / 'val').mkdir()
    bare = [entry | dict(segmentation=[]) for entry in content['annotations']]
    val = save(content | dict(annotations=bare), tmp_path / 'val')[0], tmp_path / 'images'
    text = refusal(content, tmp_path, val=val)
    assert text.startswith(f'{val[0]}: annotation 1 of 0.jpg and 19 more (segmentation-empty')
    assert not open_coco(*val).masks and not open_coco(*save(content, tmp_path), masks=False).masks


@pytest.mark.parametrize('runs', [False, True])
def test_images_of_another_size_than_the_file_says(
    runs: bool, content: dict, tmp_path: Path
) -> None:
    """Boxes would be off without a word, and run lengths end in a traceback."""
    for number in (2, 7):
        write(tmp_path / f'images/{number}.jpg', np.zeros((80, 120, 3), np.uint8))
    if runs:
        objects(content, segmentation=RUNS)
    text = refusal(content, tmp_path)
    assert '2 of the 10 images' in text and 'e.g. 2.jpg 60 x 40, read 120 x 80, so' in text
    assert 'name the folder of the images that were annotated' in text and 'EXIF' not in text


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif'])
def test_photos_that_are_turned_upright(suffix: str, content: dict, tmp_path: Path) -> None:
    """Sizes of the stored pixels are refused, sizes of the upright image are taken."""
    for entry in content['images'][:3]:
        (tmp_path / 'images' / entry['file_name']).unlink()
        entry['file_name'] = Path(entry['file_name']).stem + suffix
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        stored = Image.new('RGB', (WIDTH, HEIGHT))
        stored.save(tmp_path / 'images' / entry['file_name'], exif=exif)
    text = refusal(content, tmp_path)
    assert '3 of the 10 images' in text and f'e.g. 0{suffix} 60 x 40, read 40 x 60' in text
    assert 'the EXIF orientation of 3 of them turns them upright' in text
    for entry in content['images'][:3]:
        entry |= dict(width=HEIGHT, height=WIDTH)
    open_coco(*save(content, tmp_path))
    write(tmp_path / 'images/9.jpg', np.zeros((80, 120, 3), np.uint8))
    content['images'][1] |= dict(width=WIDTH, height=HEIGHT)
    text = refusal(content, tmp_path)
    assert '2 of the 10' in text and 'orientation of 1 of them' in text


def test_swapped_sides_without_an_orientation(content: dict, tmp_path: Path) -> None:
    content['images'][4] |= dict(width=HEIGHT, height=WIDTH)
    text = refusal(content, tmp_path)
    assert '1 of the 10' in text and '4.jpg 40 x 60, read 60 x 40' in text and 'EXIF' not in text


def test_files_that_are_no_images(content: dict, tmp_path: Path) -> None:
    (tmp_path / 'images/8.jpg').write_text('no image')
    assert '8.jpg is not an image that can be decoded' in refusal(content, tmp_path)


def test_nothing_is_written_before_all_is_checked(content: dict, tmp_path: Path) -> None:
    assert 'is not a multiple of' in refusal(content, tmp_path, image_size=31)
    (tmp_path / 'images/0.jpg').write_bytes(b'')
    assert '0.jpg' in refusal(content, tmp_path)


@pytest.mark.parametrize('kind', [int, str])
@pytest.mark.parametrize('val', [0.2, None])
def test_objects_are_measured_whatever_their_ids(
    kind: type, val: float | None, content: dict, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    """COCOeval never finds an object of the id 0, and ends with a traceback at one of a name."""
    for number, entry in enumerate(content['annotations']):
        entry['id'] = number if kind is int else f'n{number}'
    data = save(content, tmp_path)
    cfg = config_of(detect, *data, val=val)
    assert cfg.val_evaluator.ann_file == cfg.val_dataloader.dataset.ann_file
    measured = json.loads(Path(cfg.val_evaluator.ann_file).read_text())
    count = 20 if val is None else 4
    assert [entry['id'] for entry in measured['annotations']] == list(range(1, count + 1))
    learned = Path(cfg.train_dataloader.dataset.ann_file)
    assert (learned == data[0]) == (val is None)


def test_a_file_with_usual_ids_is_measured_as_it_is(
    content: dict, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    data = save(content, tmp_path)
    cfg = config_of(detect, *data, val=None)
    assert cfg.val_evaluator.ann_file == cfg.train_dataloader.dataset.ann_file == str(data[0])


def test_unusual_files_that_are_right(
    content: dict, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    """Folders in names, an unused category, ids that start anywhere, images with crowds or bare."""
    (tmp_path / 'images/a b').mkdir()
    for number, entry in enumerate(content['images']):
        entry['file_name'] = f'a b/{number}.jpg'
        (tmp_path / f'images/{number}.jpg').rename(tmp_path / 'images' / entry['file_name'])
    content['categories'].insert(0, dict(id=0, name='unused'))
    for entry in content['annotations'][2:4]:
        entry |= dict(iscrowd=1, segmentation=RUNS)
    del content['annotations'][:2]
    lines: list[str] = []
    cfg = config_of(detect, *save(content, tmp_path), val=None, report=lines.append)
    assert '1 epoch of 9 labeled images' in ' '.join(lines) and 'left out' not in ' '.join(lines)
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(dataset) == 9 and dataset.metainfo['classes'] == ('unused', 'cell')
    info = dataset.get_data_info(1)
    assert info['img_path'] == str(tmp_path / 'images/a b/2.jpg')
    assert [one['bbox_label'] for one in info['instances']] == [1, 1]


def test_what_is_left_out_is_said_and_not_counted(
    content: dict, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    for entry in content['annotations'][:2]:
        entry['image_id'] = 99
    for entry in content['annotations'][2:4]:
        entry['category_id'] = 99
    lines: list[str] = []
    cfg = config_of(detect, *save(content, tmp_path), val=None, report=lines.append)
    text = ' '.join(lines)
    assert '10 images, 16 objects' in text and '1 epoch of 8 labeled images' in text
    assert 'left out: unknown-image: 2 annotations of image_id 99; unknown-category: ann' in text
    init_default_scope('mmdet')
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 8


def test_empty_polygons_are_no_masks(content: dict, tmp_path: Path) -> None:
    objects(content, segmentation=[[]])
    assert not open_coco(*save(content, tmp_path)).masks


@pytest.mark.parametrize('rest', ['to train on', 'held out'])
def test_parts_without_objects(rest: str, content: dict, tmp_path: Path) -> None:
    whole = open_coco(*save(content, tmp_path))
    share = (0.8, 1.0) if rest == 'to train on' else (0.0, 0.8)
    content['annotations'] = whole.part(share, tmp_path / 'part.json').content['annotations']
    count = 8 if rest == 'to train on' else 2
    assert f'a.json: none of the {count} images {rest} has an obj' in refusal(content, tmp_path)


def test_no_objects(content: dict, tmp_path: Path) -> None:
    assert 'has no images or no objects' in refusal(content | dict(annotations=[]), tmp_path)


def test_missing_images(content: dict, tmp_path: Path) -> None:
    (tmp_path / 'images/3.jpg').unlink()
    text = refusal(content, tmp_path)
    assert '1 of the 10 images' in text and '3.jpg: add or unlist them, or name the fold' in text
    (tmp_path / 'images').rename(tmp_path / 'other')
    assert '10 of the 10 images' in (text := refusal(content, tmp_path))
    assert '0.jpg: name the folder that' in text
