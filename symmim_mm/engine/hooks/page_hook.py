"""The page of a run while it trains."""

from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from symmim_mm.engine.faults import tolerate
from symmim_mm.engine.hooks.images_hook import is_due
from symmim_mm.engine.hooks.record_hook import RecordHook
from symmim_mm.registry import HOOKS
from symmim_mm.results.collect import collect, write_progress

NOT_WRITTEN = 'the page is not written'


@HOOKS.register_module()
class PageHook(Hook):
    """Writes ``report/index.html`` in the folder of a run, some times on the way and at its end.

    Until then a browser loads it again by itself. A page that cannot be written is a warning.
    """

    priority = 'LOWEST'  # after whatever writes scalars, images and the record

    recorder: RecordHook | None = None  # of a training; a test has no page

    def before_train(self, runner: Runner) -> None:
        """Find the record of the run."""
        self.recorder = next(hook for hook in runner.hooks if isinstance(hook, RecordHook))

    @master_only
    def after_train_iter(self, runner: Runner, **_: object) -> None:
        """Write the page up to this step, when it is due."""
        if is_due(runner):
            progress = f'step {runner.iter + 1} of {runner.max_iters}'
            with tolerate(runner.logger, NOT_WRITTEN):
                write_progress(self.recorder.so_far(runner), Path(runner.work_dir), progress)

    @master_only
    def after_run(self, runner: Runner) -> None:
        """Write the page of the finished run."""
        if self.recorder:
            with tolerate(runner.logger, NOT_WRITTEN):
                collect([runner.work_dir])
