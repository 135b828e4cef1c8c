"""The command ``benchmark``: one sub-command a module, and ``document``."""

import argparse
import shlex
import sys
from importlib import import_module
from pathlib import Path

from symmim_mm.utils.errors import Fault, UserError

BENCHMARKS = {  # module of benchmarks/: what it measures
    'loader': 'from JPEG files to batches, against MMPretrain',
    'extraction': 'features of JPEGs by a frozen ViT, against timm and MMPretrain',
    'startup': 'opening a large folder, against MMPretrain',
    'step': 'the training step of every method, against MMPretrain',
    'growth': 'time and memory of a step against tokens, batch and depth',
    'transfer': 'the training step of Mask R-CNN and UperNet',
    'checks': 'the tests that need a GPU, their outcomes as JSON',
    'study': 'masks and losses compared on CIFAR-10, in the minutes of a GPU that there are',
    'gpu': 'all of these on a GPU host, in one call; --rehearse without one',
    'plan': 'hours and memory of a full run, from a measured step',
}
EPILOG = """\
Ratios are medians over interleaved repeats, with quartiles: other programs on the machine disturb
them less than the rates. For figures to publish, run on a machine with nothing else to do.

examples:
  %(prog)s loader --data data/imagenet/val --json docs/benchmarks/loader.json
  %(prog)s document docs/performance.md     tables from docs/benchmarks/*.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands with their arguments."""
    parser.epilog = EPILOG
    kinds = parser.add_subparsers(dest='benchmark', required=True, metavar='BENCHMARK')
    for name, text in BENCHMARKS.items():
        kind = kinds.add_parser(name, help=text, description=text.capitalize())
        import_module(f'benchmarks.{name}').add_arguments(kind)
        # A plan is read once; the others take long.
        kind.add_argument('--json', required=name != 'plan', metavar='FILE', help='result to write')
    document = kinds.add_parser('document', help='write the tables of a document from results')
    document.add_argument('document', metavar='DOC', help='Markdown file with markers for tables')
    document.add_argument(
        '--results', help='folder of JSON files (default: benchmarks next to DOC)'
    )


def measure(args: argparse.Namespace) -> None:
    """Measure, print tables and write the result; or write the tables of a document."""
    from benchmarks.common import problem_of, write_result
    from benchmarks.document import with_tables
    from symmim_mm.datacheck.report import check_writable

    if args.benchmark == 'document':
        path = Path(args.document)
        try:
            text = path.read_text()
        except OSError as error:
            raise UserError(f'cannot read {path}: {error.strerror}') from error
        path.write_text(with_tables(text, Path(args.results or path.parent / 'benchmarks')))
        return
    if args.json:
        check_writable(args.json)
    module = import_module(f'benchmarks.{args.benchmark}')
    command = shlex.join(['tools/benchmark.py', *sys.argv[1:]])
    result = dict(benchmark=args.benchmark, command=command, **module.run(args))
    if args.json:
        write_result(args.json, result)
    for name, table in module.tables(result).items():
        print(f'\n{name}\n\n{table}')
    if problem := problem_of(result):
        raise Fault(problem)
