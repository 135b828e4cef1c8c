#!/usr/bin/env python3
"""Make the comparison table (CSV, Markdown) and the report page from finished runs."""

import argparse
import sys

from symmim_mm import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Exit code 0 on success, 1 if a record could not be read (the rest is written), '
        '2 if there is nothing to collect.',
    )
    parser.add_argument(
        'folders',
        nargs='+',
        metavar='DIR',
        help='directory of a suite or of a run; searched for result.json',
    )
    parser.add_argument(
        '--out', metavar='DIR', help='where to write (default: "report" in the first DIR)'
    )
    return parser


def main(args: argparse.Namespace) -> None:
    from symmim_mm.results.collect import collect, show

    result = collect(args.folders, args.out)
    show(result)
    if result.unreadable:
        sys.exit(1)


if __name__ == '__main__':
    cli.run(main, build_parser())
