"""Every kind of finding: its level, and what such data do to a training.

A *problem* stops a training, or makes it learn or measure something wrong. A *notice* is data
that every library of this suite reads without harm but that its owner may want to know of, or a
count that is not the official one. What training does was tried with the readers themselves:
``mmcv.LoadImageFromFile`` (OpenCV, color), ``mmcv.imfrombytes`` with Pillow for label maps,
MMPretrain's ``CustomDataset``, MMDetection's ``CocoDataset`` and ``LoadAnnotations``, and
``COCOeval``; tests/datacheck and tests/datasets/transforms repeat it.
"""

from typing import NamedTuple

PROBLEM = 'problem'
NOTICE = 'notice'


class Kind(NamedTuple):
    """``level`` is PROBLEM or NOTICE; ``means`` completes the sentence of the printed heading."""

    level: str
    means: str


class FindingError(Exception):
    """What is wrong with one file or entry: the kind of the finding, and its text as message."""

    def __init__(self, kind: str, text: str = '') -> None:
        super().__init__(text)
        self.kind = kind


KINDS: dict[str, Kind] = {
    # One image
    'empty': Kind(PROBLEM, 'files of 0 bytes: cannot be loaded'),
    'unreadable': Kind(PROBLEM, 'files or folders that the system does not let one read'),
    'not-an-image': Kind(PROBLEM, 'no image that OpenCV knows: cannot be loaded'),
    'cut-off': Kind(PROBLEM, 'cut off or damaged so that decoding fails: cannot be loaded'),
    'channels': Kind(PROBLEM, 'more channels than color and transparency: cannot be loaded'),
    'enormous': Kind(
        PROBLEM, 'more pixels than --max-pixels, not decoded: may use up the memory in training'
    ),
    'crash': Kind(
        PROBLEM, 'the process that reads it dies, or takes over 10 minutes: so will a training'
    ),
    'decoder-warning': Kind(
        NOTICE, 'decoded, but the decoder complained: part of it may be spoiled'
    ),
    'wrong-extension': Kind(NOTICE, 'of another format than the name says: read by its content'),
    'cmyk': Kind(NOTICE, 'CMYK: read as RGB, colors may differ from those of other programs'),
    '16-bit': Kind(NOTICE, 'more than 8 bits a channel: only the highest 8 are read'),
    'palette': Kind(NOTICE, 'palette: read as RGB'),
    'transparent': Kind(NOTICE, 'transparent: read without, hidden colors become visible'),
    'animated': Kind(NOTICE, 'several images in one file: only the first is read'),
    'rotated': Kind(NOTICE, 'EXIF orientation: turned upright when read'),
    'tiny': Kind(NOTICE, 'a side shorter than one patch of 16 pixels: enlarged, nothing to learn'),
    # Files and folders
    'missing-folder': Kind(PROBLEM, 'a folder or file of the layout is not there'),
    'no-images': Kind(PROBLEM, 'no images where there must be some'),
    'broken-link': Kind(PROBLEM, 'links that lead nowhere: training continues without these files'),
    'link-loop': Kind(PROBLEM, 'links to a folder above: training stops or reads it many times'),
    'hidden-folder': Kind(NOTICE, 'hidden folders: training reads the images in them as well'),
    'not-read': Kind(NOTICE, 'files that training skips'),
    'image-count': Kind(NOTICE, 'not the number of images of the full dataset'),
    # Classes
    'flat': Kind(PROBLEM, 'images without class folders: no labels to train or measure with'),
    'class-sets': Kind(
        PROBLEM, 'training and validation have different classes: labels would not match'
    ),
    'empty-class': Kind(PROBLEM, 'classes without images'),
    'hidden-class': Kind(PROBLEM, 'a hidden folder is taken for a class and moves all labels'),
    'classes': Kind(PROBLEM, 'not the classes that --classes asks for'),
    'class-count': Kind(NOTICE, 'not the classes of the full dataset: the config must say so'),
    # COCO
    'json': Kind(PROBLEM, 'an annotation file that cannot be read: training stops'),
    'json-layout': Kind(PROBLEM, 'an entry without what COCO prescribes: training or test stops'),
    'duplicate-id': Kind(PROBLEM, 'the same id twice: training stops or the metric is wrong'),
    'unknown-category': Kind(PROBLEM, 'instances of no listed category: silently left out'),
    'no-instances': Kind(
        PROBLEM, 'no instance but crowds and what is left out: nothing to learn, or AP is -1'
    ),
    'image-missing': Kind(PROBLEM, 'a listed image is not there: cannot be loaded'),
    'path-outside': Kind(PROBLEM, 'a listed image lies outside of its folder'),
    'size-differs': Kind(PROBLEM, 'image and annotation differ in size: boxes or masks are off'),
    'box-outside': Kind(
        PROBLEM,
        'boxes wholly outside of the image or of negative size: left out, the metric is wrong',
    ),
    'box-systematic': Kind(PROBLEM, 'so many boxes are off that their coordinates must be wrong'),
    'segmentation-empty': Kind(PROBLEM, 'instances without a mask: training stops'),
    'rle': Kind(PROBLEM, 'run lengths that do not fit the image: training stops'),
    'mask-apart': Kind(PROBLEM, 'mask and box of an instance do not touch'),
    'unknown-image': Kind(NOTICE, 'annotations of no listed image: left out'),
    'box-small': Kind(NOTICE, 'boxes narrower than one pixel or without area: left out'),
    'box-clipped': Kind(NOTICE, 'boxes that reach over the edge: clipped in training'),
    'polygon-short': Kind(NOTICE, 'no polygon of 3 points or more: the instance is ignored'),
    'category-unused': Kind(NOTICE, 'categories without a single instance'),
    'image-unlisted': Kind(NOTICE, 'images that the annotations do not list: not read'),
    'image-small': Kind(NOTICE, 'images with a side below 32 pixels: left out of training'),
    # ADE20K
    'unpaired': Kind(PROBLEM, 'images without a label map: training stops'),
    'map-unreadable': Kind(PROBLEM, 'label maps that Pillow cannot read: training stops'),
    'map-channels': Kind(PROBLEM, 'label maps with several channels: training stops'),
    'map-lossy': Kind(PROBLEM, 'label maps of a lossy format: compression alters class numbers'),
    'map-float': Kind(PROBLEM, 'label maps of floating-point numbers: training stops'),
    'stray-label': Kind(PROBLEM, 'values that are no class, above or below: training stops'),
    'mixed-suffix': Kind(PROBLEM, 'training reads one extension only and skips these'),
    'map-without-image': Kind(NOTICE, 'label maps without an image: not read'),
    'one-class': Kind(PROBLEM, 'fewer than two classes in all label maps: nothing to learn'),
    'unlabeled': Kind(NOTICE, 'label maps without one labeled pixel: nothing to learn'),
    'suffix': Kind(NOTICE, 'another extension than the full dataset has: set it in the config'),
}
