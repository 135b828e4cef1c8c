#!/usr/bin/env python3
"""Keep the records of finished runs; make the tables and figures of docs/evidence.md."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # docs/ is no part of the installed package

from docs.evidence.tables import keep, with_evidence  # noqa: E402
from symmim_mm.cli import run  # noqa: E402
from symmim_mm.results.record import Record, find_records  # noqa: E402
from symmim_mm.utils.errors import UserError  # noqa: E402

DOCUMENT = ROOT / 'docs' / 'evidence.md'
RECORDS = ROOT / 'docs' / 'evidence'


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'folders', nargs='*', metavar='DIR',
        help='work directory of a suite, e.g. work_dirs/evidence_cifar10; without any, only the '
             'tables are written',
    )  # fmt: skip
    parser.add_argument(
        '--figures', action='store_true', help='draw accuracies and FLOPs of study (a) anew'
    )
    parser.add_argument(
        '--images', type=Path, metavar='FOLDER',
        help='class folders of test images, e.g. data/cifar10/test: draw the maps of their '
             'features and reconstructions by the checkpoints of the first DIR, too',
    )  # fmt: skip
    return parser


def main(args: argparse.Namespace) -> None:
    """Copy the records, then write the tables."""
    if args.images and not args.folders:
        raise UserError('--images draws by checkpoints: name the work directory that has them')
    for folder in map(Path, args.folders):
        kept = [keep(path.parent, RECORDS / folder.name) for path in find_records([folder])]
        print(f'kept {len(kept)} records of {folder} in {RECORDS.relative_to(ROOT) / folder.name}')
    DOCUMENT.write_text(with_evidence(DOCUMENT.read_text(), RECORDS))
    print(f'wrote {DOCUMENT.relative_to(ROOT)}')
    if args.figures or args.images:
        from docs.evidence import figures  # imports PyTorch, which tables do without

        records = [Record.read(path) for path in find_records([RECORDS / 'evidence_cifar10'])]
        figures.draw_accuracies(records, RECORDS / 'accuracies.svg')
        figures.draw_compute(records, RECORDS / 'compute.svg')
        if args.images:
            figures.draw_maps(Path(args.folders[0]), args.images, RECORDS / 'maps.png')
            figures.draw_reconstructions(Path(args.folders[0]), RECORDS / 'reconstructions.png')


if __name__ == '__main__':
    run(main, build_parser)
