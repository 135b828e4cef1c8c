#!/usr/bin/env python3
"""Keep the records of finished runs in docs/evidence/ and write the tables of docs/evidence.md."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # docs/ is no part of the installed package

from docs.evidence.tables import keep, with_evidence  # noqa: E402
from symmim_mm.cli import run  # noqa: E402
from symmim_mm.results.record import find_records  # noqa: E402

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
    return parser


def main(args: argparse.Namespace) -> None:
    """Copy the records, then write the tables."""
    for folder in map(Path, args.folders):
        kept = [keep(path.parent, RECORDS / folder.name) for path in find_records([folder])]
        print(f'kept {len(kept)} records of {folder} in {RECORDS.relative_to(ROOT) / folder.name}')
    DOCUMENT.write_text(with_evidence(DOCUMENT.read_text(), RECORDS))
    print(f'wrote {DOCUMENT.relative_to(ROOT)}')


if __name__ == '__main__':
    run(main, build_parser)
