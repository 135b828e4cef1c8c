"""One label map of semantic segmentation, read as training reads it."""

import numpy as np

from symmim_mm.datacheck.header import FORMATS, any_size
from symmim_mm.datacheck.image import Options, one_line, read
from symmim_mm.datacheck.kinds import FindingError
from symmim_mm.datacheck.report import plural
from symmim_mm.datasets.transforms.decode import IGNORED, LabelMapError, decode_label_map

LOSSY = ('JPEG', 'MPO')
SHOWN = 5  # stray values named


def inspect_label_map(
    path: str, options: Options, size: tuple[int, int] | None
) -> tuple[list[tuple[str, str]], int]:
    """Check one label map: 0 is unlabeled, 1 to ``options.classes`` are classes, 255 is ignored.

    ``size`` is ``(width, height)`` of its image as loaded, None where that is not known.

    Returns:
        Findings as ``(kind, text)``, and the highest class in the map, -1 where it was not read.
    """
    try:
        data, header = read(path, options)
        if header is None:
            raise FindingError('map-unreadable', '' if data else '0 bytes')
    except FindingError as error:
        return [(error.kind, str(error))], -1
    findings = []
    if size and (header.width, header.height) != size:
        # Pillow does not turn a label map by EXIF data, OpenCV turns the image.
        text = f'label map {header.width} x {header.height}, image {size[0]} x {size[1]}'
        findings.append(('size-differs', text))
    if header.format in LOSSY:
        findings.append(('map-lossy', header.format))
    if header.mode == 'F':
        return [*findings, ('map-float', str(header))], -1
    if not options.decode:
        return findings, -1
    try:
        with any_size():
            values = decode_label_map(data, FORMATS)
    except LabelMapError as error:
        if error.kind == 'map-unreadable':
            return [(error.kind, f'{header}: {one_line(error)}')], -1
        return [*findings, (error.kind, str(error))], -1
    found = np.unique(values)
    labels = found[(found != 0) & (found != IGNORED)]
    stray = labels[(labels < 0) | (labels > options.classes)]
    if len(stray):
        named = ', '.join(str(value) for value in stray[:SHOWN])
        more = ', ...' if len(stray) > SHOWN else ''
        pixels = plural(int(np.isin(values, stray).sum()), 'pixel')
        findings.append(('stray-label', f'{named}{more} in {pixels}, {header.mode}'))
    if not len(labels):
        findings.append(('unlabeled', ''))
    return findings, int(labels.max(initial=0))
