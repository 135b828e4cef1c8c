"""One class map of semantic segmentation, read as MMSegmentation reads it."""

import os
from io import BytesIO

import numpy as np
from PIL import Image

from symmim_mm.datacheck.header import FORMATS, any_size, read_header
from symmim_mm.datacheck.image import REASON, Options, too_long
from symmim_mm.datacheck.report import plural

IGNORED = 255  # the value that MMSegmentation ignores
LOSSY = ('JPEG', 'MPO')
SHOWN = 5  # stray values named


def inspect_class_map(
    path: str, options: Options, size: tuple[int, int] | None
) -> tuple[list[tuple[str, str]], int]:
    """Check one class map: 0 is unlabelled, 1 to ``options.classes`` are classes, 255 is ignored.

    Args:
        path: where the file is.
        options: ``decode``, ``max_pixels`` and ``classes`` are used.
        size: ``(width, height)`` of its picture as loaded, None where that is not known.

    Returns:
        Findings as ``(kind, text)``, and the highest class in the map, -1 where it was not read.
    """
    try:
        with open(path, 'rb') as file:
            length = os.fstat(file.fileno()).st_size
            if too_long(length, options):
                return [('enormous', f'{length:,} bytes')], -1
            header = read_header(file)
            file.seek(0)
            data = file.read() if options.decode else b''
    except OSError as error:
        return [('unreadable', error.strerror or str(error))], -1
    if header is None:
        return [('map-unreadable', '' if length else '0 bytes')], -1
    if header.width * header.height > options.max_pixels:
        return [('enormous', str(header))], -1
    findings = []
    if size and (header.width, header.height) != size:
        # Pillow does not turn a class map by EXIF data, OpenCV turns the picture.
        text = f'class map {header.width} x {header.height}, picture {size[0]} x {size[1]}'
        findings.append(('size-differs', text))
    if header.format in LOSSY:
        findings.append(('map-lossy', header.format))
    if header.mode == 'F':
        return [*findings, ('map-float', str(header))], -1
    if not options.decode:
        return findings, -1
    try:
        with any_size(), Image.open(BytesIO(data), formats=FORMATS) as picture:
            values = np.array(picture).squeeze()
    except Exception as error:  # whatever a damaged picture brings about
        reason = ' '.join(str(error).split())[:REASON]
        return [('map-unreadable', f'{header}: {reason}')], -1
    if values.ndim > 2:
        return [*findings, ('map-channels', f'{values.shape[2]} channels, {header.mode}')], -1
    found = np.unique(values)
    labels = found[(found != 0) & (found != IGNORED)]
    stray = labels[(labels < 0) | (labels > options.classes)]
    if len(stray):
        named = ', '.join(str(value) for value in stray[:SHOWN])
        more = ', ...' if len(stray) > SHOWN else ''
        pixels = plural(int(np.isin(values, stray).sum()), 'pixel')
        findings.append(('stray-label', f'{named}{more} in {pixels}, {header.mode}'))
    if not len(labels):
        findings.append(('unlabelled', ''))
    return findings, int(labels.max(initial=0))
