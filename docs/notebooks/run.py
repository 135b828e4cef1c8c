#!/usr/bin/env python3
"""Run a notebook in the current folder, and store what its cells return: run.py IN.ipynb OUT.ipynb.

Stored are images and texts that cells end with, not what is printed: it names folders of this
machine. Needs no Jupyter, so that the tests can run the notebooks, too.
"""

import ast
import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

MOST_SIDE = 700  # pixels of an image that is stored


def run_cell(source: str, namespace: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the code of a cell, and return what Jupyter stores of its last expression."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), 'cell', 'exec'), namespace)
    value = eval(compile(ast.Expression(last.value), 'cell', 'eval'), namespace) if last else None
    if value is None:
        return []
    data = {'text/plain': [repr(value)]}
    if isinstance(value, Image.Image):
        text, buffer = f'image of {value.width} x {value.height}', io.BytesIO()
        value.thumbnail((MOST_SIDE, MOST_SIDE))
        value.convert('RGB').save(buffer, 'jpeg', quality=80)
        data = {'image/jpeg': base64.b64encode(buffer.getvalue()).decode(), 'text/plain': [text]}
    return [dict(output_type='execute_result', execution_count=None, metadata={}, data=data)]


def main(source: Path, target: Path) -> None:
    """Run all cells, and write the notebook with their outputs."""
    notebook = json.loads(source.read_text())
    namespace: dict[str, Any] = {}
    for cell in notebook['cells']:
        if cell['cell_type'] == 'code':
            cell['outputs'] = run_cell(''.join(cell['source']), namespace)
    target.write_text(json.dumps(notebook, indent=1) + '\n')


if __name__ == '__main__':
    main(*map(Path, sys.argv[1:]))
