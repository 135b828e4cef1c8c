"""Animated PNGs made still before OpenCV sees them.

OpenCV 4.12 reads an animation in a way of its own, in which a damaged first frame ends the process
or makes it wait for ever (its issue 27744). Without the chunks of the animation the same bytes are
an ordinary PNG, whose pixels are those of the first frame or, where the animation has a still
picture beside it, of that one: bit for bit what OpenCV reads of an animation that is whole.
"""

SIGNATURE = b'\x89PNG\r\n\x1a\n'
ANIMATION = (b'acTL', b'fcTL', b'fdAT')  # PNG, third edition, 11.3.5
AROUND = 12  # bytes of a chunk besides its data: length, name, checksum


def still_png(data: bytes) -> bytes:
    """The still picture of an animated PNG.

    Args:
        data: a whole file of any kind.

    Returns:
        The PNG without the chunks of its animation; ``data`` itself where there are none.
    """
    if not data.startswith(SIGNATURE):
        return data
    kept, start, place = [], 0, len(SIGNATURE)
    while place + AROUND <= len(data):
        end = place + AROUND + int.from_bytes(data[place : place + 4], 'big')
        if data[place + 4 : place + 8] in ANIMATION:
            kept.append(data[start:place])
            start = end
        place = end
    return b''.join((*kept, data[start:])) if kept else data
