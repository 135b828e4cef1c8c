"""Any words after the name of a command: they are accepted, or refused in one line."""

import argparse
import contextlib
import io
import re
from collections.abc import Iterator

import pytest
from fuzzing import cases
from hypothesis import given
from hypothesis import strategies as st

from symmim_mm.cli import COMMANDS, run

pytestmark = pytest.mark.slow

VALUES = st.one_of(
    st.sampled_from(['', 'x', '-1', '0', '3', '1e9', 'nan', 'a=1', 'a.b=[1,(2)]', '=', 'a=', '=a',
                     '--', '-', '%', '%s', '{}', '@x', '\n', '名前', '\udcff', 'folder',
                     'coco', 'step']),
    st.text(max_size=8),
)  # fmt: skip


@pytest.fixture(scope='module')
def parsers() -> dict[str, argparse.ArgumentParser]:
    return {name: command.build_parser(name) for name, command in COMMANDS.items()}


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The options and sub-commands of a parser and of its sub-commands."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield name
                yield from options_of(inner)


@cases(2500)
@given(data=st.data())
def test_words_of_a_command_line(parsers: dict, data: st.DataObject) -> None:
    parser = parsers[data.draw(st.sampled_from(sorted(parsers)))]
    known = st.sampled_from(sorted(set(options_of(parser))))
    words = data.draw(st.lists(st.one_of(known, VALUES), max_size=6))
    out, err = io.StringIO(), io.StringIO()
    parsed: list[argparse.Namespace] = []
    code = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run(parsed.append, lambda: parser, words)
        except SystemExit as end:
            code = end.code
    if code is None:
        assert len(parsed) == 1 and not err.getvalue()
    elif code == 0:
        assert out.getvalue().startswith('usage: ')  # --help
    else:
        assert code == 2
        assert re.search(r': error: \S.*\n\Z', err.getvalue(), re.DOTALL)
        assert not parsed
