"""What a folder of images holds."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from image_samples import samples

from symmim_mm.datasets.survey import survey
from symmim_mm.utils.errors import UserError

BANDS = samples()['four bands'][1]


def write(path: Path, color: tuple[int, int, int], size: tuple[int, int] = (40, 60)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((*size, 3), color[::-1], np.uint8)
    assert cv2.imwrite(str(path), image)


def test_colors_sizes_and_other_files(tmp_path: Path) -> None:
    for number, suffix in enumerate(('png', 'bmp', 'tif', 'ppm', 'avif', 'avif')):
        write(tmp_path / f'{number}.{suffix}', (200, 100, 50) if number % 2 else (100, 100, 150))
    (tmp_path / 'notes.txt').write_text('x')
    (tmp_path / '.hidden.png').write_text('not looked at')
    (tmp_path / 'broken.png').write_text('no image')
    found = survey(tmp_path)
    assert found.images == [
        '0.png', '1.bmp', '2.tif', '3.ppm', '4.avif', '5.avif', 'broken.png',
    ]  # fmt: skip
    assert found.shorter_side == 40 and found.others == {'.txt': 1}
    assert found.mean == pytest.approx((150, 100, 100), abs=0.5)
    assert found.std == pytest.approx((50, 1, 50), abs=0.5)
    assert list(found.unreadable) == ['broken.png']
    assert 'not read: 1 .txt' in found.describe() and 'broken.png' in found.describe()


def test_an_image_of_one_row_is_measured(tmp_path: Path) -> None:
    write(tmp_path / 'line.png', (200, 100, 50), (1, 300))
    found = survey(tmp_path)
    assert not found.unreadable and found.shorter_side == 1
    assert found.mean == pytest.approx((200, 100, 50), abs=0.5)


def test_gray_and_16_bit_images_are_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'gray.png'), np.full((32, 32), 80, np.uint8))
    cv2.imwrite(str(tmp_path / 'deep.png'), np.full((32, 32), 80 * 256, np.uint16))
    assert survey(tmp_path).mean == pytest.approx((80, 80, 80), abs=0.5)


def test_folders_that_may_be_classes(tmp_path: Path) -> None:
    for name in ('a', 'b'):
        for number in range(5):
            write(tmp_path / name / f'{number}.png', (9, 9, 9), (32, 32))
    assert survey(tmp_path).classes == ('a', 'b')
    write(tmp_path / 'loose.png', (9, 9, 9), (32, 32))
    assert survey(tmp_path).classes == ()


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        ({}, '0 images and 0 other files'),
        ({'a.png': b'x', 'b.png': b''}, '2 of 2 images cannot be read'),
        ({'a.tif': BANDS, 'b.tif': BANDS}, '2 of 2 images .*a.tif has 4 channels, and images of'),
        ({'a.txt': b'', 'b.csv': b'', 'c.png': b''}, '1 images and 2 other files'),
    ],
)
def test_a_folder_of_something_else_is_refused(
    files: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        survey(tmp_path)
    with pytest.raises(UserError, match='no such folder'):
        survey(tmp_path / 'nowhere')


def test_bands_are_measured_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Of any size: OpenCV alone reduces the area of four channels at most."""
    for number in range(4):
        levels = np.array([10, 200, 30, 40, 50 + 40 * (number % 2)], np.uint16) * 257
        image = np.broadcast_to(levels, (150, 301, 5))
        options = dict(photometric='minisblack', planarconfig='contig')
        tifffile.imwrite(tmp_path / f'{number}.tif', np.ascontiguousarray(image), **options)
    found = survey(tmp_path, channels=5)
    assert found.mean == pytest.approx((10, 200, 30, 40, 70), abs=0.01)
    assert found.std == pytest.approx((1, 1, 1, 1, 20), abs=0.01)
    assert '4 images' in found.describe() and '5 channels' in found.describe()
    with pytest.raises(UserError, match='4 of 4 images cannot be read.* 5 channels.*--channels 5'):
        survey(tmp_path, channels=4)
    with pytest.raises(UserError, match='4 of 4 images cannot be read.*--channels 5'):
        survey(tmp_path)
