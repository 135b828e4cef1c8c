#!/usr/bin/env python3
"""Draw the figures of the documentation as SVG: the method, its masks, reconstructions.

Masks come from `symmim_mm.models.masks`, the second view from the preprocessor's color jitter,
images from the generated sample data, reconstructions from the images that finished runs left.
"""

import argparse
import base64
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from symmim_mm import cli
from symmim_mm.datasets.sample.scenes import draw_scene
from symmim_mm.models import masks
from symmim_mm.models.view_preprocessor import color_jitter
from symmim_mm.utils.errors import UserError
from symmim_mm.visualization.images import GRAY

HERE = Path(__file__).parent
SIDE, GRID = 224, (14, 14)
RUNS = {'SymMIM': 'symmim', 'MAE': 'mae', 'SimMIM': 'simmim'}
GAP = 4  # between the panels of a run's images
STYLE = """
text{font:14px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1c2333}
.small{font-size:12px;fill:#556075}.head{font-weight:600}.code{font-family:ui-monospace,monospace}
.box{stroke-width:1.5;rx:8}.online{fill:#e3edfb;stroke:#1f5fbf}.momentum{fill:#fbeedd;stroke:#b3690a}
.loss{fill:#e4f3ea;stroke:#1c7a45}.line{stroke:#556075;stroke-width:1.6;fill:none}
.middle{text-anchor:middle}.end{text-anchor:end}image{image-rendering:pixelated}
"""


class Svg:
    """An SVG under construction; coordinates are pixels."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.images: dict[int, str] = {}
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" aria-label="{title}">',
            f'<title>{title}</title><style>{STYLE}</style>'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto-start-reverse"><path d="M0 0 8 4 0 8Z" '
            'fill="#556075"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="10" fill="#fff"/>',
        ]

    def text(self, x: float, y: float, words: str, kind: str = '') -> None:
        self.parts.append(f'<text x="{x:g}" y="{y:g}" class="{kind}">{words}</text>')

    def image(
        self,
        x: float,
        y: float,
        pixels: np.ndarray,
        side: float,
        hidden: torch.Tensor | None = None,
    ) -> None:
        """Place an image uint8 ``(S, S, 3)``, the patches of a mask bool ``(H, W)`` in gray."""
        key = hash(pixels.tobytes())
        if key not in self.images:  # each is stored once
            self.images[key] = f'i{len(self.images)}'
            buffer = io.BytesIO()
            options = dict(quality=88, subsampling=0) if pixels.shape[0] > 100 else {}
            kind = 'jpeg' if options else 'png'
            Image.fromarray(pixels).save(buffer, kind, optimize=True, **options)
            data = base64.b64encode(buffer.getvalue()).decode()
            self.parts.append(
                f'<defs><image id="{self.images[key]}" width="100" height="100" '
                f'href="data:image/{kind};base64,{data}"/></defs>'
            )
        where = f'transform="translate({x:g} {y:g}) scale({side / 100:g})"'
        self.parts.append(f'<use href="#{self.images[key]}" {where}/>')
        if hidden is not None:
            edge = 100 / hidden.shape[0]
            squares = ''.join(
                f'M{column * edge:.2f} {row * edge:.2f}h{edge:.2f}v{edge:.2f}h-{edge:.2f}z'
                for row, column in hidden.nonzero().tolist()
            )
            self.parts.append(f'<path {where} fill="rgb({GRAY},{GRAY},{GRAY})" d="{squares}"/>')

    def box(self, x: float, y: float, width: float, lines: Sequence[str], kind: str) -> None:
        """Draw a box 60 high, its first line in bold."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="60" class="box {kind}"/>'
        )
        first = y + (35 if len(lines) == 1 else 26)
        for number, line in enumerate(lines):
            kind = 'middle head' if number == 0 else 'middle small'
            self.text(x + width / 2, first + 19 * number, line, kind)

    def arrow(self, *points: tuple[float, float], dashed: bool = False) -> None:
        path = ' '.join(f'{x:g},{y:g}' for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ''
        self.parts.append(f'<polyline points="{path}" class="line" marker-end="url(#tip)"{dash}/>')

    def write(self, path: Path) -> None:
        path.write_text('\n'.join([*self.parts, '</svg>']) + '\n')
        print(f'wrote {path.name}: {path.stat().st_size // 1024} KiB')


def draw_method(path: Path) -> None:
    """Draw both masks, both branches and both losses of SymMIM."""
    image = draw_scene(np.random.default_rng(18), SIDE).image
    torch.manual_seed(0)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    jittered = color_jitter(batch, jitter_probability=1.0, gray_probability=0.0)[0]
    second = (jittered * 255).round().byte().permute(1, 2, 0).numpy()
    small, large = masks.checkerboard(GRID, 1), masks.checkerboard(GRID, 2)

    svg = Svg(1000, 440, 'SymMIM: two masks, two branches, two losses')
    side, top, low = 132, 48, 268
    svg.image(24, (top + low) / 2, image, side)
    svg.text(90, (top + low) / 2 + side + 20, 'image', 'middle')
    for y, view, mask, words in (
        (top, image, small, 'squares of 1 x 1 patch'),
        (low, second, large, 'squares of 2 x 2 patches, other colors'),
    ):
        svg.image(212, y, view, side, mask)
        svg.text(278, y + side + 20, words, 'middle small')
        svg.arrow((160, 224), (184, 224), (184, y + side / 2), (206, y + side / 2))
        svg.arrow((348, y + side / 2), (378, y + side / 2))
    up, down = top + side / 2, low + side / 2
    svg.box(384, up - 30, 150, ('ViT encoder', 'trained'), 'online')
    svg.box(384, down - 30, 150, ('ViT encoder', 'no gradient'), 'momentum')
    svg.arrow((459, up + 30), (459, down - 36), dashed=True)
    svg.text(450, 220, 'moving average', 'small end')
    svg.text(450, 236, 'of the weights', 'small end')
    svg.arrow((534, up), (570, up))
    svg.box(576, up - 30, 104, ('pixel head',), 'online')
    svg.arrow((680, up), (712, up))
    svg.box(718, up - 30, 112, ('L mim', 'masked pixels'), 'loss')
    svg.image(846, top, image, side, ~small)
    svg.text(912, top + side + 20, 'what was hidden', 'middle small')
    svg.arrow((846, up), (836, up))
    svg.arrow((552, up), (552, 224), (570, 224))
    svg.box(576, 194, 104, ('projector', 'predictor'), 'online')
    svg.arrow((534, down), (570, down))
    svg.box(576, down - 30, 104, ('projector',), 'momentum')
    svg.box(718, 262, 112, ('L con', 'InfoNCE'), 'loss')
    svg.arrow((680, 224), (774, 224), (774, 256))
    svg.arrow((680, down), (774, down), (774, 328))
    svg.text(846, 284, 'same image: close,', 'small')
    svg.text(846, 302, 'others: apart', 'small')
    svg.text(384, up - 42, 'online branch', 'small')
    svg.text(384, down + 48, 'momentum branch', 'small')
    svg.write(path)


def draw_masks(path: Path) -> None:
    """Draw the masks that a config can name, with the share of patches that each hides."""
    image = draw_scene(np.random.default_rng(2), SIDE).image
    drawn = torch.Generator().manual_seed(0)
    gallery = (
        ('checkerboard, block=1', masks.checkerboard(GRID, 1)),
        ('checkerboard, block=2', masks.checkerboard(GRID, 2)),
        ('random, ratio=0.5', masks.random_mask(GRID, 0.5, 1, generator=drawn)[0]),
        ('random, ratio=0.75', masks.random_mask(GRID, 0.75, 1, generator=drawn)[0]),
        ('random, ratio=0.6, unit=2', masks.random_mask(GRID, 0.6, 1, 2, generator=drawn)[0]),
        ('blockwise, ratio=0.4', masks.blockwise_mask(GRID, 0.4, 1, generator=drawn)[0]),
        ('grid, keep_every=2', masks.grid_mask(GRID, 2)),
    )
    side, step = 196, 220
    svg = Svg(24 + 4 * step, 24 + 2 * 256, 'Masks over a grid of 14 x 14 patches')
    tiles = [('image', None), *gallery]
    for number, (name, mask) in enumerate(tiles):
        x, y = 24 + number % 4 * step, 24 + number // 4 * 256
        svg.image(x, y, image, side, mask)
        svg.text(x, y + side + 20, name, 'small code' if mask is not None else 'small')
        if mask is not None:
            share = 100 * mask.float().mean().item()
            svg.text(
                x, y + side + 37, f'{int(mask.sum())} of {mask.numel()}, {share:.0f} %', 'small'
            )
    svg.write(path)


def draw_reconstructions(path: Path, suite: Path, rows: int = 3) -> None:
    """Join the first images that the pre-trainings of a quickstart drew after training."""
    side, step = 88, 96
    width = 3 * step
    svg = Svg(24 + 3 * (width + 24), 44 + rows * step + 16, 'Reconstructions of held-out images')
    for column, (name, method) in enumerate(RUNS.items()):
        x = 24 + column * (width + 24)
        svg.text(x, 28, name, 'head')
        for row in range(rows):
            file = suite / f'{method}-pretrain-seed0' / 'images' / f'{row}.png'
            if not file.is_file():
                raise UserError(f'{file} is missing: run `make demo`, or name its folder by --runs')
            joined = np.asarray(Image.open(file).convert('RGB'))
            size = joined.shape[0]
            for panel in range(3):
                start = panel * (size + GAP)
                # They were enlarged by repeating pixels: every fourth is all there is.
                pixels = joined[::4, start : start + size : 4]
                svg.image(x + panel * step, 44 + row * step, pixels, side)
    svg.write(path)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--runs', type=Path, metavar='DIR',
        help='runs of `make demo`, such as work_dirs/quickstart: draw reconstructions.svg, too',
    )  # fmt: skip
    parser.add_argument('--out', type=Path, default=HERE, help='folder (default: docs/figures)')
    return parser


def main(args: argparse.Namespace) -> None:
    """Draw the figures."""
    args.out.mkdir(parents=True, exist_ok=True)
    draw_method(args.out / 'method.svg')
    draw_masks(args.out / 'masks.svg')
    if args.runs:
        draw_reconstructions(args.out / 'reconstructions.svg', args.runs)


if __name__ == '__main__':
    sys.exit(cli.run(main, build_parser))
