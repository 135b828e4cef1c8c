"""Every kind of finding: its level, and what such data do to a training.

A *problem* stops a training, or makes it learn or measure something wrong. A *notice* is data
that every library of this suite reads without harm but that its owner may want to know of, or a
count that is not the official one. What training does was tried with the readers themselves:
``mmcv.LoadImageFromFile`` (OpenCV, color), ``mmcv.imfrombytes`` with Pillow for label maps,
MMPretrain's ``CustomDataset``, MMDetection's ``CocoDataset`` and ``LoadAnnotations``, and
``COCOeval``; tests/datacheck and tests/datasets/transforms repeat it.
"""

PROBLEM, NOTICE = 'problem', 'notice'

# By level and name; each text completes the sentence of the printed heading.
LEVELS: dict[str, dict[str, str]] = {
    PROBLEM: {
        'empty': 'files of 0 bytes: cannot be loaded',
        'unreadable': 'files or folders that the system does not let one read',
        'not-an-image': 'no image that OpenCV knows: cannot be loaded',
        'cut-off': 'cut off or damaged so that decoding fails: cannot be loaded',
        'channels': 'a TIFF of more bands, pages or other numbers: only `--channels` may read it',
        'enormous': 'more pixels than --max-pixels, not decoded: may use up the memory in training',
        'crash': 'the process that reads it dies, or takes over 10 minutes: so will a training',
        'missing-folder': 'a folder or file of the layout is not there',
        'no-images': 'no images where there must be some',
        'broken-link': 'links that lead nowhere: training continues without these files',
        'link-loop': 'links to a folder above: training stops or reads it many times',
        'flat': 'images without class folders: no labels to train or measure with',
        'class-sets': 'training and validation have different classes: labels would not match',
        'empty-class': 'classes without images',
        'hidden-class': 'a hidden folder is taken for a class and moves all labels',
        'classes': 'not the classes that --classes asks for',
        'json': 'an annotation file that cannot be read: training stops',
        'json-layout': 'an entry without what COCO prescribes: training or test stops',
        'duplicate-id': 'the same id twice: training stops or the metric is wrong',
        'unknown-category': 'instances of no listed category: silently left out',
        'no-instances': 'none but crowds and what is left out: nothing to learn, or AP is -1',
        'image-missing': 'a listed image is not there: cannot be loaded',
        'path-outside': 'a listed image lies outside of its folder',
        'size-differs': 'image and annotation differ in size: boxes or masks are off',
        'box-outside': 'outside of the image or of negative size: left out, the metric is wrong',
        'box-systematic': 'so many boxes are off that their coordinates must be wrong',
        'segmentation-empty': 'instances without a mask: training stops',
        'rle': 'run lengths that do not fit the image: training stops',
        'mask-apart': 'mask and box of an instance do not touch',
        'unpaired': 'images without a label map: training stops',
        'map-unreadable': 'label maps that Pillow cannot read: training stops',
        'map-channels': 'label maps with several channels: training stops',
        'map-lossy': 'label maps of a lossy format: compression alters class numbers',
        'map-float': 'label maps of floating-point numbers: training stops',
        'stray-label': 'values that are no class, above or below: training stops',
        'mixed-suffix': 'training reads one extension only and skips these',
        'one-class': 'fewer than two classes in all label maps: nothing to learn',
    },
    NOTICE: {
        'decoder-warning': 'decoded, but the decoder complained: part of it may be spoiled',
        'wrong-extension': 'of another format than the name says: read by its content',
        'cmyk': 'CMYK: read as RGB, colors may differ from those of other programs',
        '16-bit': 'more than 8 bits a channel: only the highest 8 are read',
        'palette': 'palette: read as RGB',
        'transparent': 'transparent: read without, hidden colors become visible',
        'animated': 'several images in one file: only the first is read',
        'rotated': 'EXIF orientation: turned upright when read',
        'tiny': 'a side shorter than one patch of 16 pixels: enlarged, nothing to learn',
        'hidden-folder': 'hidden folders: training reads the images in them as well',
        'not-read': 'files that training skips',
        'image-count': 'not the number of images of the full dataset',
        'class-count': 'not the classes of the full dataset: the config must say so',
        'unknown-image': 'annotations of no listed image: left out',
        'box-small': 'boxes narrower than one pixel or without area: left out',
        'box-clipped': 'boxes that reach over the edge: clipped in training',
        'polygon-short': 'no polygon of 3 points or more: the instance is ignored',
        'category-unused': 'categories without a single instance',
        'image-unlisted': 'images that the annotations do not list: not read',
        'image-small': 'images with a side below 32 pixels: left out of training',
        'map-without-image': 'label maps without an image: not read',
        'unlabeled': 'label maps without one labeled pixel: nothing to learn',
        'suffix': 'another extension than the full dataset has: set it in the config',
    },
}
MEANINGS = LEVELS[PROBLEM] | LEVELS[NOTICE]
