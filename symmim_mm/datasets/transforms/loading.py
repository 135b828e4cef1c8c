"""Loading of whole images and label maps that refuses what is damaged, by name."""

from mmcv.transforms import BaseTransform

from symmim_mm.datasets.label_maps import label_table, read_label_map
from symmim_mm.datasets.transforms.decode import IGNORED
from symmim_mm.datasets.transforms.decode_region import ImageError, take_image
from symmim_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImageStrict(BaseTransform):
    """``LoadImageFromFile`` that refuses damaged files, in one line that names the file.

    OpenCV gives the pixels, as in the stock step. That one takes a JPEG that ends too early for an
    image with a gray part, and ends with a traceback where there is no image at all.

    Required keys: ``img_path``, or ``img_bytes`` with the encoded image. Added keys: ``img``,
    uint8 BGR ``(H, W, 3)``, ``img_shape`` and ``ori_shape``, both ``(H, W)``.

    Args:
        backend_args: as of ``LoadImageFromFile``.

    Raises:
        ImageError: at an image that cannot be read.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Add the pixels of an image."""
        image = take_image(results, self.backend_args)
        if image.pixels is None:
            image.decode_whole()
        results['img'] = image.pixels
        results['img_shape'] = results['ori_shape'] = image.pixels.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadLabelMap(BaseTransform):
    """MMSegmentation's ``LoadAnnotations`` that refuses files it cannot use, in one line.

    The stock step ends with a traceback, or trains on pixels with the labels of others where a
    label map is not as large as its image, or holds numbers that do not fit into a byte.

    Required keys: ``seg_map_path``, ``seg_fields``, ``ori_shape``, ``(H, W)`` of the image's file,
    ``reduce_zero_label`` (0 becomes the label of pixels that do not count, others are lowered by 1)
    and, with some of a dataset's classes, ``label_map``. Added key: ``gt_seg_map``, uint8
    ``(H, W)``.

    Args:
        classes: how many there are; None does not look for others.
        backend_args: as of ``mmseg.LoadAnnotations``.

    Raises:
        ImageError: at a file that is missing, damaged, of another size than its image, with labels
            of other classes, or with other values than integers from 0 to 255.
    """

    def __init__(self, classes: int | None = None, backend_args: dict | None = None) -> None:
        self.classes = classes
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Add the labels of an image's pixels; a sample that names no map is only predicted."""
        if 'seg_map_path' not in results:
            return results
        path, shape = results['seg_map_path'], tuple(results['ori_shape'])
        labels = read_label_map(path, self.backend_args)
        if labels.shape != shape:
            raise ImageError(
                f'{path} has {labels.shape} rows and columns, its image {shape}: replace it, or '
                'remove both'
            )
        values, labels = labels, label_table(results)[labels]
        if self.classes is not None:
            stray = values[(labels >= self.classes) & (labels != IGNORED)]
            if stray.size:
                raise ImageError(
                    f'{path} has {stray.size} pixels of none of the {self.classes} classes, with '
                    f'values up to {stray.max()}: fix it, or set num_classes of both heads and '
                    f'classes of {type(self).__name__}'
                )
        results['gt_seg_map'] = labels
        results['seg_fields'].append('gt_seg_map')
        return results
