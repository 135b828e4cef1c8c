"""Making of shards: every image once, the same bytes, and mistakes."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from encoded_images import decoded, drawn, jpeg, pillow, psnr, turned
from PIL import Image
from shard_samples import COUNT, OPTIONS, digest

from symmim_mm.datasets.image_folder import ImageFolder
from symmim_mm.datasets.image_table import ImageTable
from symmim_mm.datasets.shards.image import prepare_image
from symmim_mm.datasets.shards.manifest import read_manifest
from symmim_mm.datasets.shards.prepare import prepare
from symmim_mm.datasets.shards.reader import ImageShards
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.utils.errors import UserError


def test_the_same_bytes_every_time(source: Path, shards: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / 'again', **OPTIONS, jobs=2)
    assert digest(tmp_path / 'again') == digest(shards)
    prepare(source, tmp_path / 'other', **OPTIONS, seed=1)
    assert digest(tmp_path / 'other') != digest(shards)


def test_nothing_is_done_twice(source: Path, shards: Path, tmp_path: Path) -> None:
    copied, out = tmp_path / 'source', tmp_path / 'set'
    shutil.copytree(source, copied)
    prepare(copied, out, **OPTIONS)
    times = {path.name: path.stat().st_mtime_ns for path in out.glob('*.tar')}
    for path in copied.rglob('*.*'):
        path.write_text('cannot be prepared again')
    prepare(copied, out, **OPTIONS)
    (out / 'images.safetensors').unlink()
    prepare(copied, out, **OPTIONS)
    assert times == {path.name: path.stat().st_mtime_ns for path in out.glob('*.tar')}
    assert digest(out) == digest(shards)


def test_continues(source: Path, shards: Path, tmp_path: Path) -> None:
    copied, out = tmp_path / 'source', tmp_path / 'set'
    shutil.copytree(source, copied)
    out.mkdir()
    (out / '.manifest.json.0a1b2c3d.part').write_bytes(b'the very first write was killed')
    names = [ImageTable.path(ImageShards(shards), index) for index in range(COUNT)]
    bad = copied / names[11]  # of the third shard
    good = bad.read_bytes()
    bad.write_text('no image')
    with pytest.raises(ImageError, match=f'{bad.name} is not an image'):
        prepare(copied, out, **OPTIONS)
    left = {path.name for path in out.iterdir()}
    assert left == {'manifest.json', 'shard-00000.tar', 'shard-00001.tar', '.lock'}
    with pytest.raises(UserError, match='is not prepared to the end: run tools/prepare_dataset'):
        ImageFolder(data_root=str(out))
    bad.write_bytes(good)
    # A shard that is no whole tar file is made again, and so is what a kill left behind.
    (out / 'shard-00001.tar').write_bytes((out / 'shard-00001.tar').read_bytes()[:700])
    (out / '.shard-00002.tar.0a1b2c3d.part').write_bytes(b'half')
    # One that is whole is not.
    for name in names[:5]:
        (copied / name).write_text('cannot be prepared again')
    prepare(copied, out, **OPTIONS)
    assert digest(out) == digest(shards)


def test_unreadable_images(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b'latin-\xe9') / 'images'
    (root / os.fsdecode(b'\xe9')).mkdir(parents=True)  # a class whose name is not UTF-8
    (root / 'itself').symlink_to('itself')  # neither a file nor a folder
    for name in ('0.jpg', '1.png', '1.jpg'):
        (root / os.fsdecode(b'\xe9') / name).write_bytes(jpeg(drawn(60, 60)))
    (root / os.fsdecode(b'\xe9') / '1.jpg').write_text('no image')
    out = tmp_path / 'set'
    with pytest.raises(ImageError, match='/1.jpg is not an image'):
        prepare(root, out, short_side=48)
    manifest = prepare(root, out, short_side=48, skip_unreadable=True)
    assert manifest.skipped == [os.fsdecode(b'\xe9/1.jpg')] and manifest.images == 2
    dataset = ImageFolder(data_root=str(out))
    assert len(dataset) == 2 and dataset.metainfo['classes'] == (os.fsdecode(b'\xe9'),)


def test_without_classes(tmp_path: Path) -> None:
    (tmp_path / 'in' / 'a').mkdir(parents=True)
    for name in ('1.jpg', 'a/2.jpg'):
        (tmp_path / 'in' / name).write_bytes(jpeg(drawn(30, 30)))
    prepare(tmp_path / 'in', tmp_path / 'out')
    assert len(ImageFolder(data_root=str(tmp_path / 'out'), with_label=False)) == 2
    with pytest.raises(UserError, match='was prepared from images without classes'):
        ImageFolder(data_root=str(tmp_path / 'out'))


def test_noise_is_encoded_too() -> None:
    """Images that JPEG makes larger, which overrun the buffer of Pillow's optimizing encoder."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 260, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, 'PNG')
    data = prepare_image(buffer.getvalue(), 'noise', 256, quality=100)
    found = simplejpeg.decode_jpeg(data, 'RGB').astype(float)
    expected = np.asarray(Image.fromarray(noise).resize((256, 295), Image.LANCZOS))
    assert len(data) > 256 * 295 and np.abs(found - expected).max() < 8


def test_small_upright_jpegs_are_kept_to_the_byte() -> None:
    small = jpeg(drawn(40, 50), '4:2:0')
    assert prepare_image(small, 'a', 48, 95) == small
    for other in (pillow(drawn(40, 50), 'PNG'), turned(drawn(40, 50), 6)):
        kept = prepare_image(other, 'a', 48, 95)
        assert kept != other and decoded(kept).shape == decoded(other).shape
        assert psnr(decoded(kept), decoded(other)) > 33
    assert decoded(prepare_image(turned(drawn(100, 200), 6), 'a', 50, 90)).shape == (100, 50, 3)
    codes = small.index(b'\xff\xc4') + 5  # a Huffman table of which no decoder can make use
    with pytest.raises(ImageError, match='a is not an image'):
        prepare_image(small[:codes] + b'\xff' * 16 + small[codes + 16 :], 'a', 48, 95)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(short_side=8), 'short_side: should be greater than or equal to 32, got 8'),
        (dict(quality=0), 'quality: should be greater'),
        (dict(jobs=0), 'jobs must be 1 to'),
        (dict(shard_images=0), 'shard_images: should be greater'),
        (dict(seed=-1), 'seed: should be greater'),
    ],
)
def test_bad_options(source: Path, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare(source, tmp_path / 'out', **options)


def test_folders_that_cannot_be_used(source: Path, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='options .short_side 48, now 64.: remove it or'):
        prepare(source, shards, **dict(OPTIONS, short_side=64))
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'file').touch()
    with pytest.raises(UserError, match='is not empty and holds no shards'):
        prepare(source, mine)
    with pytest.raises(UserError, match='mine/sub lies within .*mine, where it would be a class'):
        prepare(mine, mine / 'sub')
    with pytest.raises(UserError, match='there is no folder'):
        prepare(tmp_path / 'none', tmp_path / 'out')
    with pytest.raises(UserError, match='no images below'):
        prepare(mine, tmp_path / 'out')
    with pytest.raises(NotADirectoryError):  # one line, of a command
        prepare(source, mine / 'file' / 'out')
    with pytest.raises(UserError, match='holds no images in shards'):
        ImageShards(mine)


def test_other_formats_and_sources(source: Path, copied: Path) -> None:
    manifest = read_manifest(copied)
    (copied / 'manifest.json').write_text(json.dumps(dict(manifest, image_shards=7)))
    with pytest.raises(UserError, match='shards of format 7, this version reads 1'):
        ImageShards(copied)
    other = dict(manifest, source=dict(manifest['source'], images=9))
    (copied / 'manifest.json').write_text(json.dumps(other))
    with pytest.raises(UserError, match='another source .images 9, now 23'):
        prepare(source, copied, **OPTIONS)


@pytest.mark.slow
def test_command(tool, source: Path, tmp_path: Path) -> None:
    arguments = (source, tmp_path / 'set', '--short-side=48', '--shard-images=5')
    done = tool('prepare_dataset.py', *arguments)
    assert done.returncode == 0, done.stderr
    assert f'{tmp_path}/set: {COUNT} images in 5 shards, 0.00 GB' in done.stdout
    checked = tool('prepare_dataset.py', *arguments[:2], '--verify')
    assert checked.stdout.endswith(f'5 shards with {COUNT} images are as they were written\n')
    wrong = tool('prepare_dataset.py', *arguments, '--quality=50')
    assert wrong.returncode == 2 and wrong.stderr.count('\n') == 1
