"""Commands around results: suite, collect, visualize, export, benchmark."""

import argparse
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from symmim_mm.cli.command import Command, Options, add_options, call
from symmim_mm.cli.training import BRANCH, add_cfg_options
from symmim_mm.config.file import find_config
from symmim_mm.utils.errors import UserError

FORMATS = ('timm', 'hf', 'hf-mae', 'onnx')
SUITE_EPILOG = """\
Exit code 0 when every run is finished, 1 if a run failed, 2 for a mistake in the suite file or the
options. Interrupted runs are resumed.
"""
EXPORT_EPILOG = """\
CHECKPOINT  a .pth file of a pre-training or fine-tuning; files with timm's names (as MAE's) or
            HuggingFace's are accepted, too
OUT         appears only when it is whole; must not exist

  --format timm   a folder for timm.create_model('local-dir:OUT'), or OUT.safetensors: weights that
                  timm.create_model(...) loads with strict=True; the call is printed
  --format hf     a folder for transformers: ViTModel, or a model with the classifier of a
                  fine-tuning
  --format hf-mae a folder for transformers.ViTMAEForPreTraining, with the decoder of a pre-training
  --format onnx   OUT.onnx: normalized images (batch, 3, H, W) to tokens (batch, 1 + n, C), the
                  class token first, or to pooled features (batch, C) after a fine-tuning

example: %(prog)s work_dirs/vit_b_pretrain/epoch_800.pth --format timm vit_b.safetensors
"""
COLLECT_EPILOG = """\
Exit code 0 on success, 1 if a record could not be read (the rest is written), 2 if there is nothing
to collect.
"""


def _add_suite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'path', type=find_config, metavar='SUITE.yaml', help='what to run, see configs/suites'
    )
    jobs = 'runs at a time (default: number of cores; 1 where the suite has gpus; --slurm: 100)'
    options: Options = {
        '--work-dir': ('DIR', None, 'where the runs go (default: work_dirs/<name of suite>)'),
        '--size': ('S', None, 'value of {size} in the suite file: l for ViT-L'),
        '--dry-run': (bool, None, 'list the commands that would run, and run nothing'),
        '--jobs': (int, None, jobs),
        '--slurm': (bool, None, 'make every run a Slurm job ("slurm" in the suite)'),
    }
    add_options(parser, options)


def _suite(args: argparse.Namespace) -> None:
    sys.exit(call('suite.run_suite:run_suite', args))


def _add_collect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('folders', nargs='+', metavar='DIR', help='directory of a suite or of runs')
    add_options(
        parser, {'--out': ('DIR', None, 'where to write (default: "report" in the first DIR)')}
    )
    parser.add_argument(
        '--model-index', nargs='?', const='', metavar='URL',
        help='write model-index.yml and metafile.yml, too, as MMPretrain reads them; checkpoints '
        'below URL, or where they are now',
    )  # fmt: skip


def _collect(args: argparse.Namespace) -> None:
    result = call('results.collect:collect', args)
    result.show()
    if result.unreadable:
        sys.exit(1)


def _add_visualize(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    for name, text in (
        ('masks', 'the masks that a pre-training config draws'),
        ('reconstruct', 'masked and reconstructed images of a pre-training'),
        ('attention', 'attention of the class token of a pre-training'),
        ('similarity', 'similarity of all patches to some, of a pre-training'),
        ('detect', 'annotated and predicted instances'),
        ('segment', 'true and predicted classes'),
    ):
        kind = kinds.add_parser(name, help=text)
        kind.add_argument('config', type=find_config, help='config of the run')
        if name != 'masks':
            kind.add_argument('checkpoint', help='a checkpoint of that run')
        if name in ('reconstruct', 'attention', 'similarity'):
            kind.add_argument('images', nargs='+', metavar='IMAGE', help='image files')
        elif name != 'masks':
            add_options(kind, {'--count': (int, 6, 'images of its validation set')})
        options: Options = {
            '--out': ('DIR', 'images', 'folder for the PNG files'),
            '--seed': (int, 0, 'seed of the masks'),
        }
        add_options(kind, options)
        add_cfg_options(kind)


def _visualize(args: argparse.Namespace) -> None:
    for path in call('apis.visualize:visualize', args):
        print(path)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='what to export')
    parser.add_argument(
        '--format', dest='format_name', required=True, choices=FORMATS, help='for which library'
    )
    parser.add_argument('out', metavar='OUT', help='file or folder to write')
    heads = "attention heads; needed for sizes other than the standard ones, as the quickstart's"
    raw = 'ONNX takes RGB images in [0, 255] and normalizes them as the run did'
    options: Options = {'--heads': (int, None, heads), '--raw-images': (bool, None, raw), **BRANCH}
    add_options(parser, options)


def _export(args: argparse.Namespace) -> None:
    print(f'{args.out}: {call("apis.export:export", args)}')


def _benchmarks() -> ModuleType:
    """Import the benchmarks' command, which only a checkout has.

    Raises:
        UserError: this is an installed package.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / 'benchmarks' / 'command.py').is_file():
        raise UserError('benchmarks are not part of the installed package: clone the repository')
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return import_module('benchmarks.command')


COMMANDS = {
    'suite': Command(
        'Make all runs of a suite that are not finished, in order, then the table and the page.',
        _add_suite, _suite, SUITE_EPILOG,
    ),
    'collect': Command(
        'Make the comparison table and the report page from finished runs.',
        _add_collect, _collect, COLLECT_EPILOG,
    ),
    'visualize': Command(
        'Draw masks, reconstructions, attention, detections and more as PNG files.',
        _add_visualize, _visualize,
    ),
    'export': Command(
        "Write the backbone of a checkpoint for timm, HuggingFace's transformers or ONNX.",
        _add_export, _export, EXPORT_EPILOG,
    ),
    'benchmark': Command(
        'Measure speed against a named peer in the same run, and write the result as JSON.',
        lambda parser: _benchmarks().add_arguments(parser),
        lambda args: _benchmarks().measure(args),
    ),
}  # fmt: skip
