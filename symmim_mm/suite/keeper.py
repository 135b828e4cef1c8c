"""Runs a command whose processes must not outlive the suite: ``python keeper.py WORDS...``.

It is started as the leader of a session of its own, with a pipe as standard input of which the
suite holds the other end. When that is closed, however the suite ended (``kill -9``, too), every
process of its group is killed.
"""

import os
import signal
import subprocess
import sys
import threading


def _kill_group_without_suite() -> None:
    os.read(0, 1)  # nothing is ever written: it returns when the suite is gone
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run the command; return its exit code, 128 + n if it was killed by signal n."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    # The suite ends its groups with SIGTERM: the command saves what it can, this process waits.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_kill_group_without_suite, daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == '__main__':
    sys.exit(main())
