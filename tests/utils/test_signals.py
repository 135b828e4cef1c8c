"""Signals that wait: Ctrl-C while worker processes start, and any others."""

import signal
import subprocess
import sys
import threading

import pytest

from symmim_mm.utils.signals import defer_interrupts, defer_signals

# A terminal sends the signal to the whole group: here before the workers are there, and while they
# start.
GROUP = """
import os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from symmim_mm.utils.signals import defer_interrupts

if __name__ == '__main__':
    signal.signal(signal.SIGINT, signal.default_int_handler)
    pool = ProcessPoolExecutor(2, get_context(sys.argv[1]))
    try:
        with defer_interrupts():
            os.killpg(0, signal.SIGINT)
            futures = [pool.submit(time.sleep, 0.2) for _ in range(2)]
            os.killpg(0, signal.SIGINT)
            print('started')
        print('not reached')
    except KeyboardInterrupt:
        print('interrupted')
    print([future.result() for future in futures])
    pool.shutdown()
"""


@pytest.mark.parametrize('method', ['spawn', 'forkserver'])
def test_processes_hear_nothing_and_the_main_one_at_the_end(method: str, tmp_path) -> None:
    script = tmp_path / 'group.py'
    script.write_text(GROUP)
    done = subprocess.run(
        [sys.executable, str(script), method],
        capture_output=True, text=True, timeout=300, start_new_session=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == 'started\ninterrupted\n[None, None]\n'


def test_what_was_is_again() -> None:
    handler, mask = signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with defer_interrupts():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(ZeroDivisionError), defer_interrupts():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    with pytest.raises(KeyboardInterrupt), defer_interrupts():
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize('first', ['SIGCHLD', 'SIGINT'])
def test_others_take_effect_once_and_in_order(first: str) -> None:
    calls = []

    def fail(*_: object) -> None:
        calls.append('failed')
        raise RuntimeError

    order = sorted([signal.SIGCHLD, signal.SIGINT], key=lambda number: number.name != first)
    before = signal.signal(signal.SIGCHLD, fail)
    try:
        with (
            pytest.raises(RuntimeError if first == 'SIGCHLD' else KeyboardInterrupt),
            defer_signals(*order),
        ):
            for number in (signal.SIGCHLD, signal.SIGINT) * 2:
                signal.raise_signal(number)
            calls.append('done')
        assert signal.getsignal(signal.SIGCHLD) is fail
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert calls == ['done'] + ['failed'] * (first == 'SIGCHLD')


def test_in_a_thread_nothing_is_changed() -> None:
    """Only the main thread answers signals."""
    seen = []

    def work() -> None:
        with defer_interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
