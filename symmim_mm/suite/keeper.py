"""Runs a command whose processes must not outlive the suite: ``python keeper.py WORDS...``.

It is started as the leader of a session of its own, with a pipe as standard input of which the
suite holds the other end. When that is closed, however the suite ended (``kill -9``, too), every
process of its group is ended.
"""

import os
import signal
import subprocess
import sys
import threading
import time

GRACE_S = 5  # srun cancels its job, a training may save

orphaned = threading.Event()


def _end_group_without_suite() -> None:
    os.read(0, 1)  # nothing is ever written: it returns when the suite is gone
    orphaned.set()
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run the command; return its exit code, 128 + n if it was killed by signal n."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    # This process waits for what SIGTERM makes the command do.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_group_without_suite, daemon=True).start()
    code = child.wait()
    if orphaned.is_set():
        os.killpg(0, signal.SIGKILL)
    return code if code >= 0 else 128 - code


if __name__ == '__main__':
    sys.exit(main())
