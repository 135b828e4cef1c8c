"""Logging that survives a full disk, and that several processes do not do over one another."""

import logging
from collections.abc import Callable

from mmengine.dist import master_only
from mmengine.hooks import LoggerHook
from mmengine.runner import Runner

from symmim_mm.registry import HOOKS


@HOOKS.register_module()
class SafeLoggerHook(LoggerHook):
    """MMEngine's ``LoggerHook``; what cannot be written is told once on the console, and lost.

    The metrics of a test are written by one process: MMEngine's hook writes the same file in all of
    them at a time, which leaves the end of one text behind another.
    """

    told = False

    def before_run(self, runner: Runner) -> None:
        super().before_run(runner)
        for handler in runner.logger.handlers:
            if isinstance(handler, logging.FileHandler):
                # Its own answer is a traceback on the console for every line.
                handler.handleError = lambda record: None

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        self._tolerantly(super().after_train_iter, runner, *args, **kwargs)

    def after_val_epoch(self, runner: Runner, *args, **kwargs) -> None:
        self._tolerantly(super().after_val_epoch, runner, *args, **kwargs)

    @master_only
    def after_test_epoch(self, runner: Runner, *args, **kwargs) -> None:
        super().after_test_epoch(runner, *args, **kwargs)

    def _tolerantly(self, write: Callable[..., None], runner: Runner, *args, **kwargs) -> None:
        try:
            write(runner, *args, **kwargs)
        except OSError as error:
            if not self.told:
                self.told = True
                runner.logger.error(
                    f'logs cannot be written ({error.strerror}: {error.filename}); training goes on'
                )
