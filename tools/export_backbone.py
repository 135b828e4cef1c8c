#!/usr/bin/env python3
"""Write the backbone of a checkpoint for timm, HuggingFace's transformers or ONNX."""

import argparse

from symmim_mm import cli

FORMATS = ('timm', 'hf', 'onnx')
EPILOG = """\
CHECKPOINT  a pre-training's or fine-tuning's .pth file; files with the names of timm (as MAE's) or
            of HuggingFace are taken, too
OUT         appears only when it is whole; must not exist

  --format timm   OUT.safetensors: weights that timm.create_model(...) takes with strict=True; the
                  call is printed
  --format hf     a folder for transformers.ViTModel or ViTMAEModel.from_pretrained
  --format onnx   OUT.onnx: normalised images (batch, 3, H, W) to tokens (batch, 1 + n, C), the
                  class token first, or to pooled features (batch, C) after a fine-tuning

example: tools/export_backbone.py work_dirs/vit_b_pretrain/epoch_800.pth --format timm \\
             vit_b.safetensors
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='what to export')
    parser.add_argument('--format', required=True, choices=FORMATS, help='for which library')
    parser.add_argument('out', metavar='OUT', help='file or folder to write')
    parser.add_argument(
        '--heads', type=int, metavar='N',
        help="attention heads; needed for sizes other than the standard ones, as the quickstart's",
    )  # fmt: skip
    return parser


def main(args: argparse.Namespace) -> None:
    from symmim_mm.checkpoint.export import export_backbone

    how = export_backbone(args.checkpoint, args.format, args.out, args.heads)
    print(f'{args.out}: {how}')


if __name__ == '__main__':
    cli.run(main, build_parser)
