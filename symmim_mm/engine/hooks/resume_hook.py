"""Training steps that are a function of (seed, iteration, rank), and exact resuming."""

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint

from symmim_mm.checkpoint.resume import check_fit, check_parts, whole_state
from symmim_mm.checkpoint.weights import check_plain
from symmim_mm.datasets.samplers.seeding import seed_step
from symmim_mm.registry import HOOKS
from symmim_mm.utils.errors import UserError

KEY = 'stream'
# What must be equal for the iterations of two attempts at a run to be the same, in words.
NAMES = {
    'batch': 'images in an iteration',
    'accumulation': 'iterations in an optimizer step',
    'epoch': 'iterations in an epoch',
    'seed': 'as seed',
    'pieces': 'pieces of the shards, one per process',
}


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Seeds each training step, and checks on resuming that iterations mean what they meant.

    With it and the loops of ``symmim_mm.engine.runner``, a run that was stopped at any iteration
    and resumed computes what it would have computed, bit for bit where the operators are
    deterministic. The number of processes may change as long as one iteration has as many images;
    shards, which are dealt to the processes, need as many processes as before. A checkpoint of
    another run is refused before any of it is loaded. A validation that was due when the run
    stopped is caught up.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.resumed = False

    def before_train_iter(self, runner: Runner, **_: object) -> None:
        """Seed what the model draws in this step."""
        seed_step(runner.seed, runner.iter, get_rank())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the data stream of the run."""
        checkpoint['meta'][KEY] = data_stream_spec(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check a checkpoint that was read, before its state is loaded.

        Raises:
            UserError: it is not one of this run, or not with the same data stream.
        """
        if not runner._resume:
            weights = checkpoint.get('state_dict')
            weights = weights if isinstance(weights, dict) else checkpoint
            check_plain(weights, f'checkpoint {runner._load_from}')
            if weights.keys().isdisjoint(whole_state(runner)):
                raise UserError(
                    f'load_from {runner._load_from} has no tensor by a name of this model: weights '
                    'of another library, or of a backbone, are loaded with --backbone'
                )
            return
        self.resumed = True
        source = runner._load_from or find_latest_checkpoint(runner.work_dir)
        schedules = {} if runner.param_schedulers is None else {'param_schedulers': list}
        numbers = {f'meta.{KEY}.{key}': int for key in NAMES}
        check_parts(checkpoint, source, {**numbers, **schedules})
        current, saved = data_stream_spec(runner), checkpoint['meta'][KEY]
        changes = [
            f'{saved[key]} {name}, not {current[key]}'
            for key, name in NAMES.items()
            if saved[key] != current[key]
        ]
        if changes:
            raise UserError(
                f'{source} cannot be resumed like this: it was trained with '
                f'{"; ".join(changes)}: use the same recipe and data, and as many processes'
            )
        check_fit(runner, checkpoint, source)

    def before_train_epoch(self, runner: Runner) -> None:
        """Catch up a validation that was due when the run stopped."""
        if self.resumed and runner.val_loop is not None and _validation_due(runner):
            runner.logger.info('validating first, as the run may have stopped before')
            runner.val_loop.run()
        self.resumed = False


def data_stream_spec(runner: Runner) -> dict[str, int]:
    """Return the values of ``NAMES`` for a run."""
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
    """Return whether a validation follows what is done, the one at the end of the run aside.

    ``RecordHook`` makes that.
    """
    loop = runner.train_loop
    if getattr(loop.dataloader.batch_sampler, 'endless', True):
        done, at_end = loop.iter, loop.iter >= loop.max_iters
    else:
        done, at_end = loop.epoch, loop.epoch >= loop.max_epochs
        if loop.iter != done * len(loop.dataloader):
            return False
    return not at_end and done >= max(loop.val_begin, 1) and done % loop.val_interval == 0
