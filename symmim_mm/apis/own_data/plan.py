"""The plan of a run on one's own data: what made it, and whether a command continues it."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from mmengine.config import Config

from symmim_mm.checkpoint.read import checkpoint_files
from symmim_mm.config.file import CONFIGS
from symmim_mm.results.record import FILE_NAME
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256, write_atomic
from symmim_mm.utils.text import is_text, short
from symmim_mm.utils.work_dir import exclusive_work_dir

PLAN, ARGUMENTS = 'plan', 'arguments.json'
# The least that numbers of the command line can be.
LEAST = dict(epochs=1, steps=1, image_size=1, heads=1, seed=0, workers=0)


def check_numbers(**numbers: int | None) -> None:
    """Refuse numbers that nothing can be done with, before anything is measured or written.

    Raises:
        UserError: a number of :data:`LEAST` below its least, or no integer.
    """
    for name, number in numbers.items():
        if number is None:
            continue
        if not isinstance(number, Integral) or number < LEAST[name]:
            option = name.replace('_', '-')
            raise UserError(f'--{option} {number}: must be an integer of at least {LEAST[name]}')


def absolute(value: object) -> Any:
    """Return paths, and those in a sequence, as absolute ones, for JSON; another value as it is.

    Raises:
        UserError: a path that no config can hold.
    """
    if isinstance(value, str | Path):
        return check_name(str(Path(value).resolve()))
    return list(map(absolute, value)) if isinstance(value, list | tuple) else value


def check_name(path: str, folder: str | Path = '') -> str:
    """Return a path, maybe below a folder, that configs and lists can hold.

    Raises:
        UserError: one that is not UTF-8 in one line.
    """
    if not is_text(path) or '\n' in path or '\r' in path:
        where = f'{folder}: ' if folder else ''
        raise UserError(f'{where}{path!r} is not UTF-8 in one line: rename it')
    return path


def config_text(title: str, base: str, parts: dict[str, Any], config: Path, start: object) -> str:
    """Return the text of a config, as one would write it by hand.

    Args:
        title: what is trained, for the first line.
        base: path of the full recipe, below ``configs``.
        parts: what differs from it.
        config: where it will be.
        start: checkpoint that the training starts from, if any.
    """
    return (
        f'# {title}. Written by `symmim`; change it and train it with\n'
        f'# `symmim train {config}' + (f' --backbone {start}' if start else '') + '`\n'
        f'_base_ = [{str(CONFIGS / base)!r}]\n' + Config(parts).pretty_text
    )


def write_list(file: Path, folder: Path, images: Iterable[str]) -> None:
    """Write paths of images below a folder into a file, one a line.

    Raises:
        UserError: a name that no line can hold.
    """
    write_atomic(file, ''.join(check_name(path, folder) + '\n' for path in images))


@dataclass(frozen=True)
class Plan:
    """The plan in the folder of a run.

    Args:
        place: the folder of the run.
        command: what is planned, by which its config is called.
        arguments: that determine the run, as JSON has them.
    """

    place: Path
    command: str
    arguments: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The folder of the config and of the lists of images."""
        return self.place / PLAN

    @property
    def config(self) -> Path:
        """The config that is trained."""
        return self.folder / f'{self.command}.py'

    def write(self, text: str) -> None:
        """Write the config, and before it what it was made from."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        content = dict(command=self.command, arguments=dict(self.arguments), config_sha256=digest)
        write_atomic(self.folder / ARGUMENTS, json.dumps(content, indent=1) + '\n')
        write_atomic(self.config, text)

    def continues(self, report: Callable[[str], None]) -> bool:
        """Return whether the folder has this plan already; otherwise it is to be made.

        A plan whose training never began is made again, unless its config was changed by hand. One
        of a version that kept no arguments is continued.

        Raises:
            UserError: the folder holds a run of other arguments, or one that is under way.
        """
        check_name(str(self.place.resolve()))
        stored = self._stored()
        planned, begun = self.config.is_file(), self._begun()
        if not begun and (self.place / 'run.lock').is_file():
            # Another process may just be training its first steps, by this plan.
            with exclusive_work_dir(str(self.place)):
                pass
        edited = planned and stored and file_sha256(self.config) != stored['config_sha256']
        if stored and (begun or edited):
            self._compare(stored)
        elif stored and planned:
            report(f'{self.config} was never trained: the run is planned again')
            return False
        elif begun and not planned:
            raise UserError(
                f'{self.place} holds another run: give another --out, or remove {self.place}'
            )
        if planned:
            report(f'{self.config} exists: the run is continued; for another one give --out')
        return planned

    def _stored(self) -> dict[str, Any] | None:
        try:
            stored = json.loads((self.folder / ARGUMENTS).read_text(encoding='utf-8'))
            return dict(stored, config_sha256=stored['config_sha256'])
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                f'{self.folder / ARGUMENTS} is damaged: give another --out, or remove {self.place}'
            ) from error

    def _begun(self) -> bool:
        names = (FILE_NAME, 'last_checkpoint')
        return any((self.place / name).exists() for name in names) or bool(
            checkpoint_files(self.place)
        )

    def _compare(self, stored: Mapping[str, Any]) -> None:
        before = dict(stored.get('arguments', {}), command=stored.get('command'))
        now = json.loads(json.dumps(dict(self.arguments, command=self.command)))
        changed = [key for key in now if key in before and before[key] != now[key]]
        if before['command'] != now['command']:
            changed = ['command']
        if changed:
            what = '; '.join(
                f'{key.replace("_", "-")} {_shown(before[key])}, now {_shown(now[key])}'
                for key in changed[:3]
            )
            raise UserError(
                f'{self.place} holds a run of other arguments: {what}; give another --out, or '
                f'remove {self.place}'
            )


def _shown(value: object) -> str:
    if value is None:
        return 'none'
    return ' '.join(map(_shown, value)) if isinstance(value, list) else short(str(value))
