"""Pictures of runs as data addresses, for a page that is one file."""

import base64
import io
from pathlib import Path

from symmim_mm.utils.errors import UserError
from symmim_mm.utils.paths import file_inside

MAX_WIDTH = 720
MOST_PIXELS = 1 << 25
MOST_BYTES = 1 << 25


def embed(folder: Path, name: str, problems: list[str]) -> str | None:
    """A picture as a PNG data address, made narrower where it is very wide."""
    from PIL import Image

    try:
        path = file_inside(folder, name, MOST_BYTES)
        with Image.open(path, formats=('PNG',)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise UserError(f'{path}: has {picture.width} x {picture.height} pixels')
            picture.load()
            content = path.read_bytes()
            if picture.width > MAX_WIDTH:
                height = max(1, round(picture.height * MAX_WIDTH / picture.width))
                smaller = picture.convert('RGB').resize(
                    (MAX_WIDTH, height), Image.Resampling.LANCZOS
                )
                buffer = io.BytesIO()
                smaller.save(buffer, 'PNG', optimize=True)
                content = buffer.getvalue()
    except UserError as error:
        problems.append(f'picture left out: {error}')
        return None
    except Exception as error:  # Pillow ends in many ways on bytes that are no PNG
        problems.append(f'picture left out: {folder / name}: not a readable PNG: {error}')
        return None
    return 'data:image/png;base64,' + base64.b64encode(content).decode('ascii')
