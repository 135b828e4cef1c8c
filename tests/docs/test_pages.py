"""The documentation: links and anchors, commands and files that exist, published numbers."""

import csv
import re
from pathlib import Path

import pytest
import yaml
from paths import ROOT

from symmim_mm.cli import COMMANDS

DOCS = ROOT / 'docs'
PAGES = sorted([*ROOT.glob('*.md'), *DOCS.rglob('*.md')])
CODE = re.compile(r'```.*?```|`[^`\n]*`', re.S)
# Files and folders of this repository, not parts of longer paths, and no patterns.
PATH = re.compile(
    r'(?<![\w/.@:-])(?:configs|symmim_mm|tests|tools|benchmarks)/[\w/-]*(?:\.\w+)?(?![\w/{*.-])'
)


def anchors(page: Path) -> set[str]:
    """Names of the headings, as GitHub and Python-Markdown make them."""
    heads = re.findall(r'^#+ (.*)', re.sub(r'```.*?```', '', page.read_text(), flags=re.S), re.M)
    return {re.sub(r'\s+', '-', re.sub(r'[^\w\s-]', '', head.lower()).strip()) for head in heads}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_commands_and_files_exist(page: Path) -> None:
    text = page.read_text()
    problems = []
    for link in re.findall(r'\]\(([^)\s]+)\)', CODE.sub('', text)):
        path, _, anchor = link.partition('#')
        if path.startswith('http'):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            problems.append(link)
    code = '\n'.join(CODE.findall(text))
    typed = re.findall(r'(?:^|`|&& |=\S+ )symmim ([a-z][\w-]*)', code, re.M)
    problems += [name for name in typed if name not in COMMANDS]
    if page.name not in ('CHANGELOG.md', 'comparison.md'):  # what once was, and other libraries
        problems += [path for path in PATH.findall(code) if not (ROOT / path).exists()]
    assert problems == []


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / 'mkdocs.yml').read_text()
    named = set(re.findall(r'[\w/]+\.md', str(yaml.safe_load(text)['nav'])))
    made = {'index.md', 'contributing.md', 'changes.md'}
    made |= {f'notebooks/{path.stem}.md' for path in DOCS.glob('notebooks/*.ipynb')}
    assert named - made == {str(page.relative_to(DOCS)) for page in DOCS.rglob('*.md')}


def test_published_rows_of_the_questions() -> None:
    table = (DOCS / 'faq.md').read_text().partition('<!-- table: short schedules -->')[2]
    rows = [line.strip('| ').split(' | ') for line in table.splitlines() if '@' in line]
    with (ROOT / 'symmim_mm/results/published/values.csv').open() as file:
        known = {
            (row['method'], row['epochs'], row['task'], row['value'], row['source'])
            for row in csv.DictReader(file)
        }
    assert len(rows) == 7
    for run, _, epochs, *values, source in rows:
        for task, value in zip(('knn', 'linear', 'finetune'), values, strict=True):
            assert not value.strip() or (run, epochs, task, value.strip(), source) in known
