"""Makes every training step a function of (seed, iteration), and resuming exact."""

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint

from symmim_mm.checkpoint.resume import check_dense, check_fit, check_parts
from symmim_mm.datasets.samplers.seeding import seed_step
from symmim_mm.registry import HOOKS
from symmim_mm.utils.errors import UserError

KEY = 'stream'


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Seeds each training step, and checks on resuming that iterations mean what they meant.

    With it and the loops of ``resumable_loops``, a run that was stopped at any iteration and
    resumed computes what it would have computed, bit for bit where the operators are
    deterministic. Any number of processes may go on, as long as they take as many pictures in one
    iteration; a prepared set, whose shards are dealt to the processes, asks for as many of them.
    What is not a checkpoint of this run is refused before any of it is loaded. A validation that
    was due when the run stopped is caught up.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.resumed = False

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        seed_step(runner.seed, runner.iter, get_rank())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['meta'][KEY] = stream_of(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not runner._resume:
            check_dense(checkpoint, str(runner._load_from))
            return
        self.resumed = True
        source = runner._load_from or find_latest_checkpoint(runner.work_dir)
        schedules = {} if runner.param_schedulers is None else {'param_schedulers': list}
        numbers = {f'meta.{KEY}.{key}': int for key in NAMES}
        check_parts(checkpoint, source, {**numbers, **schedules})
        now, then = stream_of(runner), checkpoint['meta'][KEY]
        changes = [
            f'{then[key]} {name}, not {now[key]}'
            for key, name in NAMES.items()
            if then[key] != now[key]
        ]
        if changes:
            raise UserError(
                f'{source} cannot be resumed so: it was trained with '
                f'{"; ".join(changes)}: take the same recipe and data, and as many processes'
            )
        check_fit(runner, checkpoint, source)

    def before_train_epoch(self, runner: Runner) -> None:
        if self.resumed and runner.val_loop is not None and _validation_due(runner):
            runner.logger.info('validating first, as the run may have stopped before')
            runner.val_loop.run()
        self.resumed = False


NAMES = {
    'batch': 'pictures in an iteration',
    'accumulation': 'iterations in an optimizer step',
    'epoch': 'iterations in an epoch',
    'seed': 'as seed',
    'pieces': 'pieces of the prepared set, one a process',
}


def stream_of(runner: Runner) -> dict[str, int]:
    """What must be equal for iterations of two attempts at a run to be the same."""
    loader = runner.train_loop.dataloader
    batches = loader.batch_sampler
    return dict(
        batch=loader.batch_size * get_world_size(),
        accumulation=runner.cfg.optim_wrapper.get('accumulative_counts', 1),
        epoch=0 if getattr(batches, 'endless', True) else len(loader),
        seed=runner.seed,
        pieces=getattr(batches.sampler, 'pieces', 1),
    )


def _validation_due(runner: Runner) -> bool:
    """Whether the loop validates after what has been done; its end is left to ``RecordHook``."""
    loop = runner.train_loop
    if getattr(loop.dataloader.batch_sampler, 'endless', True):
        done, at_end = loop.iter, loop.iter >= loop.max_iters
    else:
        done, at_end = loop.epoch, loop.epoch >= loop.max_epochs
        if loop.iter != done * len(loop.dataloader):
            return False
    return not at_end and done >= max(loop.val_begin, 1) and done % loop.val_interval == 0
