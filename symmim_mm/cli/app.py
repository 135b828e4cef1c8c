"""The command `app`: a page on this machine to look at a pre-training with."""

import argparse
import os
from importlib.util import find_spec

from symmim_mm.cli.command import Command, Options, add_options
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.warm_start import importing_libraries

EPILOG = """\
The page is served to this machine alone, and loads nothing from elsewhere. The config next to the
checkpoint is a program that is run: only use runs that you trust.

example: %(prog)s work_dirs/images-symmim --predict work_dirs/birds-finetune
"""


def _add_app(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('run', metavar='RUN', help='folder of a pre-training, or a checkpoint')
    options: Options = {
        '--index': ('FOLDER', None, 'images to look for neighbors in (default: those of the run)'),
        '--predict': ('RUN', None, 'a fine-tuning, detection or segmentation to predict with'),
        '--port': (int, None, '(default: the first free one from 7860)'),
    }
    add_options(parser, options)


def _app(args: argparse.Namespace) -> None:
    if args.port is not None and not 0 < args.port < 1 << 16:
        raise UserError(f'--port must be from 1 to 65535, got {args.port}')
    if find_spec('gradio') is None:
        raise UserError("app needs Gradio: `make app` in a clone, or pip install '.[app]' there")
    # Gradio reads them when it is imported.
    os.environ |= {'GRADIO_ANALYTICS_ENABLED': 'False', 'HF_HUB_DISABLE_TELEMETRY': '1'}
    with importing_libraries():
        from symmim_mm.apis.explore import Explorer
        from symmim_mm.cli.app_page import build_page, serve

    serve(build_page(Explorer(args.run, index=args.index, predict=args.predict)), args.port)


COMMANDS = {
    'app': Command(
        'Look at a pre-training in the browser: mask, reconstruct, compare, find neighbors.',
        _add_app, _app, EPILOG,
    ),
}  # fmt: skip
