"""One job of a check: a picture, and with it its class map where it has one."""

import os
from typing import NamedTuple

from symmim_mm.datacheck.image import Complaints, Options, inspect_picture
from symmim_mm.datacheck.label_map import inspect_class_map


class Job(NamedTuple):
    """``path`` of a picture, and that of its class map, relative to the root.

    ``size``: the ``(width, height)`` that an annotation file gives, where there is one.
    """

    path: str
    annotation: str | None = None
    size: tuple[int, int] | None = None


class Outcome(NamedTuple):
    """Findings as ``(kind, path, text)``, and the highest class of the class map, or -1."""

    findings: list[tuple[str, str, str]]
    highest: int = -1


def check_job(job: Job, options: Options, complaints: Complaints | None = None) -> Outcome:
    """Check one picture and, where it has one, its class map."""
    path = os.path.join(options.root, job.path)
    found, size = inspect_picture(path, job.path, options, complaints)
    findings = [(kind, job.path, text) for kind, text in found]
    if job.size and size and job.size != size:
        text = f'picture {size[0]} x {size[1]}, annotations say {job.size[0]} x {job.size[1]}'
        findings.append(('size-differs', job.path, text))
    if job.annotation is None:
        return Outcome(findings)
    path = os.path.join(options.root, job.annotation)
    found, highest = inspect_class_map(path, options, size)
    findings += [(kind, job.annotation, text) for kind, text in found]
    return Outcome(findings, highest)
