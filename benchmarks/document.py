"""Tables of a document, generated from results.

The document holds pairs of comments ``<!-- table: FILE NAME -->`` and ``<!-- end -->``; what is
between them is replaced by the table ``NAME`` of the result ``FILE`` (without ``.json``), whose
first part, up to a hyphen, is the benchmark that wrote it.
"""

import json
import re
from importlib import import_module
from pathlib import Path

from symmim_mm.utils.errors import UserError

MARKER = re.compile(r'(<!-- table: (\S+) ([^\n]+?) -->\n)(?s:.*?)(<!-- end -->)')


def with_tables(text: str, results: Path) -> str:
    """Return the text of a document with its tables regenerated.

    Args:
        text: of the document.
        results: folder of JSON files.

    Raises:
        UserError: a result that the document names is missing, or has no such table.
    """

    def table(match: re.Match) -> str:
        opening, name, which, closing = match.groups()
        return f'{opening}\n{table_of(results / f"{name}.json", which)}\n\n{closing}'

    return MARKER.sub(table, text)


def table_of(path: Path, which: str) -> str:
    """Return one table of a result, or ``'environment'``, a line on the environment.

    Raises:
        UserError: no such file or table.
    """
    try:
        result = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f'cannot read {path}: {error}; make it with tools/benchmark.py') from error
    if which == 'environment':
        return environment_line(result)
    module = import_module(f'benchmarks.{result["benchmark"]}')
    tables = module.tables(result)
    if which not in tables:
        raise UserError(f'{path} has no table {which}, only {", ".join(tables)}')
    return tables[which]


def environment_line(result: dict) -> str:
    """Return the environment of a result as a sentence."""
    found = result['environment']
    devices = [f'{found["cores_usable"]} cores of {found["processor"]}', *found['gpus']]
    versions = ', '.join(f'{name} {number}' for name, number in found['versions'].items())
    settings = ', '.join(f'{key} {value}' for key, value in result['settings'].items())
    return (
        f'`{result["command"]}` ({found["date"]}; {", ".join(devices)}; load average '
        f'{found["load_average"][0]} before; {found["threads"]} thread; {settings}; '
        f'{result["repeats"]} repeats; Python {found["python"]}, {versions}).'
    )
