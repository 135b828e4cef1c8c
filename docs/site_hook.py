"""Hook of mkdocs: pages of the site that are files at the root of the repository."""

import json
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PAGES = {
    'README.md': 'index.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changes.md',
}
WIDE = ('index.md', 'comparison.md', 'recipes.md')  # no list of neighbors: room for the page
SHOWN = ('CITATION.cff',)  # copied as they are


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; links between them and those of docs/ are turned around below."""
    root = Path(config.config_file_path).parent
    for name, page in PAGES.items():
        text = re.sub(r'\]\((?:docs/)?([^)]*)\)', _link, (root / name).read_text())
        files.append(File.generated(config, page, content=text))
    for notebook in (root / 'docs/notebooks').glob('*.ipynb'):
        page = f'notebooks/{notebook.stem}.md'
        files.append(File.generated(config, page, content=_notebook_page(notebook)))
    for name in SHOWN:
        files.append(File.generated(config, name, abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links of docs/ to files above it into links to their pages."""
    page.meta['hide'] = ['navigation'] * (page.file.src_uri in WIDE)
    if page.file.src_uri.startswith('notebooks/'):
        return markdown  # their links are those of a page in their folder
    markdown = re.sub(r'\]\((notebooks/\w+)\.ipynb\)', r'](\1.md)', markdown)
    return re.sub(r'\]\(\.\./([^)]*)\)', _link, markdown)


def _notebook_page(path: Path) -> str:
    """Return a notebook as Markdown, with the stored outputs of its cells."""
    parts = []
    for cell in json.loads(path.read_text())['cells']:
        source = ''.join(cell['source'])
        parts.append(source if cell['cell_type'] == 'markdown' else f'```python\n{source}\n```')
        for output in cell.get('outputs', ()):
            data, text = output['data'], ''.join(output['data']['text/plain'])
            image = data.get('image/jpeg')
            link = f'![{text}](data:image/jpeg;base64,{image})'
            parts.append(link if image else f'```text\n{text}\n```')
    parts.append(f'The notebook: [{path.name}]({path.name}).')
    return '\n\n'.join(parts)


def _link(found: re.Match) -> str:
    target, mark, anchor = found[1].partition('#')
    return f']({PAGES.get(target, target)}{mark}{anchor})'
