"""``torchrun`` with meaningful exit codes, and one line in place of a traceback.

``torchrun`` ends with 1 whatever happened. Here the code is that of the process that failed first,
75 where a signal stopped the run (``PreemptionHook``), and 1 where a process was killed.
"""

import signal
import sys
from collections.abc import Sequence

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from symmim_mm.utils.errors import EXIT_FAULT, EXIT_PREEMPTED, RESUME, print_error

STOPPING = (signal.SIGTERM, signal.SIGUSR1)
# It passes these on to its processes and gives them 30 seconds.
SIGNALS = 'SIGTERM,SIGUSR1,SIGINT,SIGHUP,SIGQUIT'


def main(arguments: Sequence[str]) -> int:
    """Run ``torchrun`` with arguments and return the exit code."""
    try:
        run.main(['--signals-to-handle', SIGNALS, *arguments])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            print_error(
                f'the process of rank {rank} (pid {failure.pid}) was killed by {name}, and the '
                f'others were stopped: {RESUME}'
            )
            return EXIT_FAULT
        return failure.exitcode
    except SignalException as stop:
        return EXIT_PREEMPTED if stop.sigval in STOPPING else 128 + stop.sigval
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
