"""Hook of mkdocs: pages of the site that are files at the root of the repository."""

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
    for name in SHOWN:
        files.append(File.generated(config, name, abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links of docs/ to files above it into links to their pages."""
    page.meta['hide'] = ['navigation'] * (page.file.src_uri in WIDE)
    return re.sub(r'\]\(\.\./([^)]*)\)', _link, markdown)


def _link(found: re.Match) -> str:
    target, mark, anchor = found[1].partition('#')
    return f']({PAGES.get(target, target)}{mark}{anchor})'
