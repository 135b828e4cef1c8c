"""Records and folders of runs, and strings that a page, a table or a terminal could obey."""

import json
from pathlib import Path

import make_runs
from PIL import Image

SHA = 'abcdef' * 10 + '0123'
TEXTS = {
    'script': '<script>alert(1)</script>',
    'attribute': '" onmouseover="alert(1)" x="',
    'single quote': "' autofocus onfocus='alert(1)",
    'closing tags': '</title></style></svg></pre><img src=http://a.example/x>',
    'template': '{{ 7 * 191 }}{% include "/etc/passwd" %}',
    'entity': '&lt;script&gt; &#x3c;',
    'markdown link': '[x](javascript:alert(1)) ![y](http://a.example/y.png) `z` *bold*',
    'table': 'a | b \\| c\n| d |\n# head\n---',
    'formula': '=HYPERLINK("http://a.example","x")',
    'formula after a sign': "-2+3+cmd|' /C calc'!A0",
    'new lines': 'a\nb\r\nc\u2028d',
    'terminal': 'a\x1b[2J\x1b]0;title\x07b\x9b1m',
    'other direction': 'a\u202egnp.exe\u2066',
    'alphabets': 'опыт 実験 تجربة 🧪 e\u0301',
    'rich markup': '[bold red]x[/] [link=http://a.example]y[/link]',
    'shell': '$(touch x); `touch x` && rm -rf ~ #',
    'long': 'x' * 5000,
}


def record(**changes: object) -> dict:
    """The JSON of a valid record but for ``changes``, which may be anything."""
    valid = make_runs.record(
        'method', 'pretrain', run='run', arch='arch', dataset='data', config='configs/x.py',
        config_sha256=SHA, checkpoint_sha256=SHA, curve='curve.jsonl', figures=['figures/0.png'],
    )  # fmt: skip
    return valid.model_dump(by_alias=True) | changes


def run_folder(folder: Path, values: dict, text: str = 'x') -> Path:
    folder.mkdir(parents=True)
    (folder / 'figures').mkdir()
    Image.new('RGB', (24, 8), (200, 30, 30)).save(folder / 'figures' / '0.png')
    lines = [dict(step=step, loss=1 / step, note=text) for step in range(1, 9)]
    (folder / 'curve.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    (folder / 'result.json').write_text(json.dumps(values))
    return folder
