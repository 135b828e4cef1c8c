"""Times as people read them."""

from datetime import UTC, datetime


def hours_text(hours: float | None) -> str:
    """Hours with a precision that suits a three-minute run as well as a three-day one."""
    if hours is None:
        return ''
    if hours < 0.001:
        return '<0.001'
    return f'{hours:.3f}' if hours < 1 else f'{hours:.1f}'


def moment_text(moment: str) -> str:
    """An ISO 8601 time as ``2026-11-21 11:03 UTC``."""
    parsed = datetime.fromisoformat(moment).astimezone(UTC)
    return parsed.strftime('%Y-%m-%d %H:%M UTC')


def duration_text(seconds: float) -> str:
    """``93 s``, ``12 min 5 s`` or ``31 h 4 min``."""
    whole = round(seconds)
    if whole < 120:
        return f'{whole} s'
    if whole < 7200:
        return f'{whole // 60} min {whole % 60} s'
    return f'{whole // 3600} h {whole % 3600 // 60} min'
