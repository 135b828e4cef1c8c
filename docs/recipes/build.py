#!/usr/bin/env python3
"""Write docs/recipes.md from the configs and published values, or check that it is up to date."""

import argparse
import sys
from pathlib import Path

from symmim_mm import cli

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # docs/ is not part of the installed package
DOCUMENT = ROOT / 'docs' / 'recipes.md'


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='It plans every full-size run, which takes a few minutes.'
    )
    parser.add_argument('--check', action='store_true', help='write nothing; fail if outdated')
    return parser


def main(args: argparse.Namespace) -> None:
    """Write the document, or check it."""
    from docs.recipes.document import write_document
    from symmim_mm.apis.plan import silence_libraries
    from symmim_mm.utils.errors import UserError

    silence_libraries()
    text = write_document(ROOT / 'configs')
    if not args.check:
        DOCUMENT.write_text(text)
        print(f'wrote {DOCUMENT.relative_to(ROOT)}')
    elif not DOCUMENT.is_file() or DOCUMENT.read_text() != text:
        raise UserError(f'{DOCUMENT.relative_to(ROOT)} is outdated: run `make docs`')


if __name__ == '__main__':
    cli.run(main, build_parser)
