"""A smaller JPEG that decodes to the same pixels in the rows that are wanted.

No wheel on the package index offers libjpeg-turbo's partial decoding, and any decoder can be made
to stop early: it reads as many rows as the frame header announces. Rows above the wanted ones can
be left out only where restart markers let decoding begin anew, as in the shards that
``tools/prepare_dataset.py`` writes.
"""

import numpy as np

from symmim_mm.datasets.transforms.jpeg_header import END, JpegHeader


def cut_rows(data: bytes, header: JpegHeader, top: int, bottom: int) -> tuple[bytearray, int]:
    """Cut a JPEG down to the rows from ``top`` to ``bottom`` (not included) and some around them.

    ``data`` is the whole file; ``0 <= top < bottom <= header.height`` in the stored image.

    Returns:
        The new JPEG and the row of the image that is its first. Its rows ``top - first`` to
        ``bottom - first`` decode bit for bit as those of the whole file.
    """
    # Where rows share chroma samples, the decoder interpolates with those of the next rows.
    context = 2 if header.unit_height > 8 else 0
    bottom = min(header.height, bottom + context)
    found = _restarts(data, header)
    if found is None:
        cut, first = bytearray(data), 0
    else:
        cut, first = _between_restarts(data, header, found, max(0, top - context), bottom)
    cut[header.frame + 5 : header.frame + 7] = (bottom - first).to_bytes(2, 'big')
    return cut, first


def _restarts(data: bytes, header: JpegHeader) -> np.ndarray | None:
    """Return the positions of all restart markers, None where rows do not begin at them."""
    if not header.restart or not header.one_scan:
        return None
    across = -(-header.width // header.unit_width)
    if header.restart % across and across % header.restart:
        return None
    units = across * -(-header.height // header.unit_height)
    coded = np.frombuffer(data, np.uint8, offset=header.scan)
    markers = np.flatnonzero(coded[:-1] == 0xFF)
    # In coded data a byte 255 is followed by 0, or is the start of a marker.
    markers = markers[(coded[markers + 1] & 0xF8) == 0xD0] + header.scan
    # A file with markers missing is damaged, and left to the decoder's own error handling.
    return markers if len(markers) == -(-units // header.restart) - 1 else None


def _between_restarts(
    data: bytes, header: JpegHeader, markers: np.ndarray, top: int, bottom: int
) -> tuple[bytearray, int]:
    across = -(-header.width // header.unit_width)
    # Rows of units come in groups that begin at a restart; a row may have several intervals.
    intervals = max(1, across // header.restart)
    rows = max(1, header.restart // across) * header.unit_height
    begin, end = top // rows * intervals, -(-bottom // rows) * intervals
    start = markers[begin - 1] + 2 if begin else header.scan
    stop = markers[end - 1] if end <= len(markers) else len(data)
    cut = bytearray(data[: header.scan])
    cut += data[start:stop]
    if end <= len(markers):
        cut += END
    if begin % 8:  # markers count modulo 8 from the first one on
        inner = markers[begin : end - 1] - (start - header.scan) + 1
        view = np.frombuffer(cut, np.uint8)
        view[inner] = 0xD0 + (np.arange(len(inner)) & 7)
    return cut, begin // intervals * rows
