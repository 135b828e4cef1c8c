"""Progress: a bar on a terminal, lines elsewhere, whoever shows it."""

from types import SimpleNamespace

import pytest

from symmim_mm.engine.hooks.progress_hook import LINES, ProgressHook
from symmim_mm.utils import progress


@pytest.fixture(params=[True, False], ids=['terminal', 'file'])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    for name in ('FORCE_COLOR', 'TTY_COMPATIBLE'):
        monkeypatch.setenv(name, str(int(request.param)))
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('COLUMNS', '200')
    monkeypatch.setattr(progress, 'INTERVAL_S', 0.0)
    return request.param


def test_bar(terminal: bool, capsys: pytest.CaptureFixture) -> None:
    with progress.progress_bar('checking [red]a[/]', 2000) as advance:
        advance(999)
        advance()
    shown = capsys.readouterr().err
    assert 'checking [red]a[/]' in shown
    assert ('\x1b[?25l' in shown, '1,000 of 2,000 images' in shown) == (terminal, not terminal)
    assert ('1000/2000' in shown) == terminal


def test_training(terminal: bool, capsys: pytest.CaptureFixture) -> None:
    losses = SimpleNamespace(mean=lambda window: 0.25)
    hub = SimpleNamespace(log_scalars={'train/loss': losses})
    runner = SimpleNamespace(max_iters=100, iter=40, message_hub=hub)
    hook = ProgressHook()
    hook.before_train(runner)
    for runner.iter in range(40, 100):
        hook.after_train_iter(runner, 0)
    hook.after_train(runner)
    shown = capsys.readouterr().err
    assert 'loss 0.2500' in shown
    assert shown.count(' of 100, ') == (0 if terminal else LINES * 60 // 100)
    assert (
        ('100/100' in shown and shown.index('\x1b[?25h') > 0) if terminal else '\x1b' not in shown
    )
