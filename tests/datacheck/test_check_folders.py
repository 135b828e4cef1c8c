"""ImageNet folders and folders without labels: layout, counts, classes, odd files."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from image_samples import damaged_animation, encode, make_image, samples

from symmim_mm.datacheck.folders import plan_folder, plan_imagenet
from symmim_mm.datacheck.report import Report
from symmim_mm.utils.errors import UserError

JPEG = encode(make_image())


def put(root: Path, *names: str, data: bytes = JPEG) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """Two classes, three training and two validation images."""
    root = tmp_path / 'imagenet'
    put(root, 'train/n01/a.JPEG', 'train/n01/b.JPEG', 'train/n02/c.JPEG')
    put(root, 'val/n01/d.JPEG', 'val/n02/e.JPEG')
    return root


def imagenet_report(root: Path, **options) -> Report:
    report = Report('imagenet', root)
    plan = plan_imagenet(str(root), report, **options)
    assert plan.total == len(list(plan.jobs))
    return report


def found(root: Path, **options) -> dict[str, list[tuple[str, str]]]:
    """The findings but those on counts, which no small set gets right."""
    findings = imagenet_report(root, **options).findings
    return {kind: findings[kind] for kind in findings if kind not in ('image-count', 'class-count')}


def test_clean(imagenet: Path) -> None:
    report = imagenet_report(imagenet)
    assert report.findings == {
        'class-count': [
            (split, '2, ImageNet-1K has 1000: set num_classes=2') for split in ('train', 'val')
        ],
        'image-count': [
            ('train', '3, ImageNet-1K has 1,281,167'), ('val', '2, ImageNet-1K has 50,000'),
        ],
    }  # fmt: skip
    assert report.counts['train'] == {'images': 3, 'classes': 2}
    assert imagenet_report(imagenet, classes=2).findings == {}
    assert imagenet_report(imagenet, classes=['n02', 'n01']).findings == {}


def test_named_classes(imagenet: Path) -> None:
    assert found(imagenet, classes=3)['classes'] == [
        ('train', '2 in place of 3'), ('val', '2 in place of 3'),
    ]  # fmt: skip
    assert found(imagenet, classes=['n01', 'n07'])['classes'] == [
        ('train', 'without n07'), ('train', 'besides n02'),
        ('val', 'without n07'), ('val', 'besides n02'),
    ]  # fmt: skip


def test_missing_folders(imagenet: Path, tmp_path: Path) -> None:
    hint = f'found in {imagenet}: name that folder'
    assert found(tmp_path) == {'missing-folder': [('train', hint), ('val', hint)]}
    assert found(imagenet, splits=('train', 'test')) == {'missing-folder': [('test', '')]}


def test_flat_and_empty(imagenet: Path) -> None:
    for split in ('train', 'val'):
        shutil.rmtree(imagenet / split)
    put(imagenet, 'val/ILSVRC2012_val_00000001.JPEG', 'val/ILSVRC2012_val_00000002.JPEG')
    (imagenet / 'train').mkdir()
    findings = found(imagenet)
    ((place, text),) = findings.pop('flat')
    assert place == 'val' and text.startswith('2 images directly in it: move each to val/<class>')
    assert 'docs/data.md' in text and findings == {'no-images': [('train', '')]}


def test_odd_classes_and_files(imagenet: Path) -> None:
    (imagenet / 'train/n03').mkdir()
    (imagenet / 'val/n03').mkdir()
    put(imagenet, 'val/n03/notes.txt', 'train/loose.JPEG', 'train/n01/x.gif', 'train/n01/.y.jpg')
    put(imagenet, 'train/.ipynb_checkpoints/a.JPEG', 'val/.ipynb_checkpoints/a.JPEG')
    put(imagenet, 'train/n04/f.JPEG', 'val/n05/g.JPEG')
    assert found(imagenet) == {
        'class-sets': [('train', '1 class not in val: n04'), ('val', '1 class not in train: n05')],
        'empty-class': [('train/n03', ''), ('val/n03', '')],
        'hidden-class': [
            ('train/.ipynb_checkpoints', 'remove it'), ('val/.ipynb_checkpoints', 'remove it'),
        ],
        'not-read': [
            ('train', '1 image next to the class folders'),
            ('train/n01/x.gif', '1 file ending .gif'),
            ('val/n03/notes.txt', '1 file ending .txt'),
        ],
    }  # fmt: skip


def folder_report(root: Path) -> tuple[Report, list[str]]:
    report = Report('folder', root)
    plan = plan_folder(str(root), report)
    paths = sorted(job.path for job in plan.jobs)
    assert len(paths) == plan.total
    return report, paths


def test_folder(tmp_path: Path) -> None:
    names = ['a.jpg', 'deep/er/ b c.PNG', 'Straße/日本 語/Ωmega.jpeg', 'deep/.hidden/d.tif']
    put(tmp_path, *names, 'list.txt', 'deep/.DS_Store', 'README')
    report, paths = folder_report(tmp_path)
    assert paths == sorted(names)
    assert report.findings == {
        'hidden-folder': [('deep/.hidden', '')],
        'not-read': [('README', '1 file without extension'), ('list.txt', '1 file ending .txt')],
    }
    empty, paths = folder_report(tmp_path / 'deep/.hidden')
    assert paths == ['d.tif'] and empty.findings == {}


def test_many_extensions_are_lumped(tmp_path: Path) -> None:
    put(tmp_path, 'a.jpg', *(f'file.{number:03}' for number in range(50)))
    report, _ = folder_report(tmp_path)
    assert len(report.findings['not-read']) == 21
    assert '30 files ending otherwise' in {text for _, text in report.findings['not-read']}


def test_nothing_to_read(tmp_path: Path) -> None:
    assert folder_report(tmp_path)[0].findings == {
        'no-images': [('', 'not one file with a known extension')]
    }


def test_links(tmp_path: Path) -> None:
    root = tmp_path / 'root'
    put(tmp_path, 'elsewhere/a.jpg')
    put(root, 'sub/b.jpg')
    (root / 'sub/gone.jpg').symlink_to('nowhere.jpg')
    (root / 'sub/self').symlink_to('self')
    (root / 'sub/up').symlink_to('..')
    (root / 'other').symlink_to(tmp_path / 'elsewhere')
    report, paths = folder_report(root)
    assert paths == ['other/a.jpg', 'sub/b.jpg']
    assert {kind: sorted(found) for kind, found in report.findings.items()} == {
        'broken-link': [('sub/gone.jpg', 'to nowhere.jpg'), ('sub/self', 'to self')],
        'link-loop': [('sub/up', f'to {root}')],
    }


def test_listing_is_that_of_the_training(tmp_path: Path) -> None:
    """The same files as the dataset of a training, with labels and without."""
    from symmim_mm.datasets.image_folder import ImageFolder

    put(tmp_path, 'train/b/1.JPG', 'train/b/x/2.png', 'train/a/3.jpeg', 'train/a/.4.jpg')
    put(
        tmp_path,
        'train/a/.h/5.ppm',
        'train/c/6.gif',
        'train/c/7.tiff',
        'train/c/9.WebP',
        'train/8.bmp',
    )
    (tmp_path / 'train/a/link.jpg').symlink_to('3.jpeg')
    (tmp_path / 'train/d').symlink_to(tmp_path / 'train/b')
    for labels in (False, True):
        data = ImageFolder(data_root=str(tmp_path), data_prefix='train', with_label=labels)
        expected = sorted(os.path.relpath(entry['img_path'], tmp_path) for entry in data)
        if labels:
            report = Report('imagenet', tmp_path)
            plan = plan_imagenet(str(tmp_path), report, splits=('train', 'train2'))
            expected.append('train/8.bmp')  # next to the class folders: read without labels only
            assert report.counts['train'] == {'images': 9, 'classes': len(data.CLASSES)}
        else:
            plan = plan_folder(str(tmp_path), Report('folder', tmp_path))
        assert sorted(job.path for job in plan.jobs) == sorted(expected)


def test_strict(run_check, sample_data: Path, capfd: pytest.CaptureFixture) -> None:
    root = sample_data / 'imagenet'
    run_check('imagenet', root, '--classes', 10, '--quick', '--strict')
    assert capfd.readouterr().out.endswith(f'\n{root}: no problems\n')
    with pytest.raises(UserError, match=f'^{root}: no problems, 4 notices$'):
        run_check('imagenet', root, '--strict', '--quick')
    assert '40, ImageNet-1K has 1,281,167' in capfd.readouterr().out


def test_command_names_every_broken_image(tool, tmp_path: Path) -> None:
    """All kinds at once, below a folder whose name has spaces and other alphabets."""
    root = tmp_path / 'Bilder mit Lücken' / '日本 語'
    for number, (name, data, _) in enumerate(samples().values()):
        put(root, f'{number:02} {name}', data=data)
    put(root, 'animation.png', data=damaged_animation())
    put(root, 'line\nbreak.jpg', data=b'')
    (root / os.fsdecode(b'latin-\xe9.jpg')).write_bytes(b'')
    done = tool('check_dataset.py', 'folder', root, '--limit', 100, '--workers', 2)
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    said = done.stdout.splitlines()
    assert '    line\\nbreak.jpg' in said and '    latin-\\udce9.jpg' in said
    places = {}
    for line in said:
        if line.startswith('  ') and not line.startswith('    '):
            heading = line.split()[0]
        elif line.startswith('    '):
            places.setdefault(line.strip().split(': ')[0], set()).add(heading)
    for number, (name, _, expected) in enumerate(samples().values()):
        assert places.get(f'{number:02} {name}', set()) == expected, name
    assert places['animation.png'] == {'cut-off'}  # OpenCV alone would end the process


@pytest.mark.skipif(sys.platform != 'linux' or os.geteuid() == 0, reason='root may read all')
def test_forbidden_folder(tmp_path: Path) -> None:
    put(tmp_path, 'a.jpg', 'closed/b.jpg')
    (tmp_path / 'closed').chmod(0)
    try:
        report, paths = folder_report(tmp_path)
    finally:
        (tmp_path / 'closed').chmod(0o700)
    assert paths == ['a.jpg'] and report.findings == {
        'unreadable': [('closed', 'Permission denied')]
    }
