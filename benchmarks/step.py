"""The training step: forward, backward, optimizer and EMA, against MMPretrain and SimMIM."""

import argparse
import gc
import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING

from benchmarks.common import Sample, check_gpu, environment, interleave, say, spread, timed
from benchmarks.step_tables import (
    CHECKPOINTED,
    COMPILED,
    FLOAT32,
    METHODS,
    SIZES,
    STOCK,
    TITLES,
    VARIANTS,
    YARDSTICK,
    tables,
)
from symmim_mm.utils.errors import UserError

if TYPE_CHECKING:
    from benchmarks.step_trainer import Trainer

__all__ = ['add_arguments', 'run', 'tables']

BATCHES = dict(s=256, b=256, l=128, quickstart=16)  # on a GPU: those of one GPU in the recipes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tools/benchmark.py step``."""
    parser.add_argument(
        '--sizes', nargs='+', choices=SIZES, metavar='SIZE',
        help=f'of {", ".join(SIZES)} (default: b on a CPU, s b l on a GPU)',
    )  # fmt: skip
    parser.add_argument(
        '--methods', nargs='+', choices=METHODS, metavar='METHOD',
        help=f'of {", ".join(METHODS)} (default: all; not symmim-stock or compiled ones on a CPU)',
    )  # fmt: skip
    parser.add_argument(
        '--batch', type=int, help='images per step (default: 4 on a CPU; on a GPU 256, ViT-L 128)'
    )
    parser.add_argument('--repeats', type=int, help='(default: 3 on a CPU, 10 on a GPU)')
    parser.add_argument(
        '--steps', type=int, help='in each repeat (default: 1 on a CPU, 5 on a GPU)'
    )
    parser.add_argument(
        '--device', choices=('cpu', 'cuda'), help='(default: a GPU where there is one)'
    )
    parser.add_argument('--amp', action='store_true', help='bfloat16; on a CPU with AMX only')
    parser.add_argument(
        '--peak', action='store_true',
        help="measure the device's rate in matrix products, too, and the share of it that is used",
    )  # fmt: skip
    parser.add_argument(
        '--float32', action='store_true', help='with --amp: measure ours in float32, too'
    )
    parser.add_argument(
        '--profile', nargs='+', choices=METHODS, default=(), metavar='METHOD',
        help="where a GPU's time goes in a step, by kernel",
    )  # fmt: skip
    parser.add_argument('--no-memory', action='store_true', help='do not measure memory')
    parser.add_argument(
        '--minutes', type=float, default=math.inf,
        help='when they run out: fewer repeats, and not the methods named last (default: no limit)',
    )  # fmt: skip


def run(args: argparse.Namespace) -> dict:
    """Measure every method at every size, methods in turn."""
    import torch

    from benchmarks.step_profile import profile
    from benchmarks.step_trainer import matrix_rate
    from symmim_mm.engine.precision import check_bf16_units

    end = time.monotonic() + 60 * args.minutes
    args.device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    check_gpu(args.device)
    on_gpu = args.device == 'cuda'
    if args.amp:
        check_bf16_units()
    args.methods = list(args.methods or ()) or [
        name for name in METHODS if on_gpu or (name != 'symmim-stock' and name not in COMPILED)
    ]
    if args.float32:
        args.methods += [name for name, ours in FLOAT32.items() if ours in args.methods]
    for option in ('batch', 'steps', 'repeats'):
        value = getattr(args, option)
        if value is not None and value < (2 if option == 'batch' else 1):
            raise UserError(f'--{option} is too small: {value}')  # BatchNorm needs two images
    if on_gpu:
        torch.backends.cudnn.benchmark = True  # as the configs have it
    args.repeats = args.repeats or (10 if on_gpu else 3)
    args.steps = args.steps or (5 if on_gpu else 1)
    dtype = torch.bfloat16 if args.amp else torch.float32
    batches = {
        size: args.batch or (BATCHES[size] if on_gpu else 4)
        for size in args.sizes or (['s', 'b', 'l'] if on_gpu else ['b'])
    }
    result = dict(
        settings=dict(
            device=args.device,
            precision='bfloat16' if args.amp else 'float32',
            steps_a_repeat=args.steps,
        ),
        repeats=args.repeats,
        # With one thread, processor time is what other programs disturb least.
        clock='cpu_seconds' if not on_gpu and torch.get_num_threads() == 1 else 'seconds',
        environment=environment(),
        matrix_rate=matrix_rate(torch.device(args.device), dtype) if args.peak else None,
        sizes={},
        problems={},
    )
    for number, (size, batch) in enumerate(batches.items()):
        now = time.monotonic()
        share = (end - now) / (len(batches) - number)
        cases: dict[str, Case] = {}
        try:
            # Half of the time to build and warm up; a quarter for memory and profiles.
            _add_cases(cases, size, batch, args, now + share / 2)
            found = _measure(cases, size, args, result, now + share * 3 / 4)
            for method in [name for name in cases if on_gpu and name in args.profile]:
                say(f'{SIZES[size]}: profiling {TITLES[method]}')
                found[method]['profile'] = profile(cases[method].step)
            result['sizes'][size] = found
        except torch.OutOfMemoryError:
            result['problems'][size] = (
                f'{SIZES[size]} with {batch} images does not fit into the memory: '
                'lower --batch, or name fewer --methods'
            )
            say(result['problems'][size])
        del cases
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()
    return result


@dataclass
class Case:
    """One method at one size.

    Args:
        trainer: shared by the cases with and without activation checkpointing or compilation.
        variant: what this case has and the others have not.
        first: seconds of the first repeat: compilation, libraries, the optimizer's memory.
    """

    method: str
    trainer: 'Trainer'
    batch: int
    steps: int
    variant: AbstractContextManager
    phases: dict[str, list[float]] = field(default_factory=dict)
    first: float = 0.0

    def sample(self) -> Sample:
        """Train some steps and record the times of their parts."""
        with self.variant:
            found = timed(partial(self.trainer.train, self.batch, self.steps))
        for name, seconds in self.trainer.take_phases().items():
            self.phases.setdefault(name, []).extend(seconds)
        return found

    def step(self) -> None:
        """Train one step."""
        with self.variant:
            self.trainer.train(self.batch)

    def memory(self) -> dict:
        """Return bytes: ``kept`` between steps; ``fixed + each * images`` more in a step."""
        from benchmarks.step_trainer import bytes_per_image

        with self.variant:
            if self.method in COMPILED:  # a batch of another size would be compiled again
                fixed, each = 0.0, self.trainer.peak_bytes(self.batch) / self.batch
            else:
                # Memory is linear in the batch: on a CPU a small one takes less time.
                on_cpu = self.trainer.device.type == 'cpu'
                fixed, each = bytes_per_image(self.trainer, 4 if on_cpu else self.batch)
        return dict(kept=self.trainer.kept_bytes(), fixed=fixed, each=each)


def _add_cases(
    cases: dict[str, Case], size: str, batch: int, args: argparse.Namespace, until: float
) -> None:
    """Build the methods and train each for the first time, as many as the time allows."""
    import torch

    from benchmarks.step_cases import make_trainer

    trainers: dict[str, Trainer] = {}
    for method in args.methods:
        if cases and time.monotonic() > until:
            say(f'{SIZES[size]}: no time for {TITLES[method]}')
            continue
        name = VARIANTS.get(method, method)
        if name not in trainers:
            say(f'{SIZES[size]}: building {TITLES[name]}')
            amp = args.amp and name not in FLOAT32
            trainers[name] = make_trainer(
                size, FLOAT32.get(name, name), torch.device(args.device), amp
            )
        case = Case(method, trainers[name], batch, args.steps, _variant(method, trainers[name]))
        say(f'{SIZES[size]}: warming {TITLES[method]} up')
        case.first = case.sample().seconds
        case.phases = {}
        cases[method] = case


def _variant(method: str, trainer: 'Trainer') -> AbstractContextManager:
    from benchmarks.step_trainer import Variant
    from symmim_mm.engine.hooks.model_hooks import compile_model
    from symmim_mm.models.backbones.activation_checkpointing import checkpoint_blocks

    changes = ((CHECKPOINTED, checkpoint_blocks), (COMPILED, compile_model))
    change = next((change for cases, change in changes if method in cases), None)
    return Variant(trainer.model, change) if change else nullcontext()


def _measure(
    cases: dict[str, Case], size: str, args: argparse.Namespace, result: dict, until: float
) -> dict:
    work = {method: case.sample for method, case in cases.items()}
    samples = interleave(work, args.repeats, lambda line: say(f'{SIZES[size]}: {line}'), until)
    result['repeats'] = min(result['repeats'], *map(len, samples.values()))
    found = {}
    for method, case in cases.items():
        found[method] = _entry(case, size, samples, result)
        # The CPU's operations cannot be followed inside of a compiled program.
        if not args.no_memory and not (method in COMPILED and args.device == 'cpu'):
            say(f'{SIZES[size]}: memory of {TITLES[method]}')
            found[method]['memory'] = case.memory()
    return found


@cache
def _operations(size: str, method: str) -> float:
    from benchmarks.step_cases import config_of
    from symmim_mm.planning.costs import flops_per_image

    return flops_per_image(config_of(size, method)).forward_backward


def _entry(case: Case, size: str, samples: dict[str, list[Sample]], result: dict) -> dict:
    from benchmarks.step_cases import config_of, identity
    from benchmarks.step_trainer import shares_of

    clock, method = result['clock'], case.method
    rates = {
        name: [sample.amount / getattr(sample, clock) for sample in of_case]
        for name, of_case in samples.items()
    }

    def ratio(above: str, below: str) -> dict | None:
        if above not in rates or below not in rates:
            return None
        return spread([a / b for a, b in zip(rates[above], rates[below], strict=True)])

    model = FLOAT32.get(method, method)
    cfg = config_of(size, model)
    # Of a variant, and of stock parts, those of the config that trains.
    operations = _operations(size, STOCK.get(model, VARIANTS.get(model, model)))
    entry = dict(
        batch=case.batch,
        recipe_batch=cfg.train_dataloader.batch_size,
        model=identity(cfg),
        stock=method in STOCK,
        checkpointed=method in CHECKPOINTED,
        compiled=method in COMPILED,
        rate=spread(rates[method]),
        first_repeat_seconds=case.first,
        samples=[sample._asdict() for sample in samples[method]],
        step_to_yardstick=ratio(YARDSTICK, method),
        shares=shares_of(case.phases),
        operations=operations,
    )
    for stock, ours in STOCK.items():
        if method in (stock, ours):
            entry['speed_to_stock'] = ratio(method, stock)
    for plain, ours in FLOAT32.items():
        if method in (plain, ours):
            entry['speed_to_float32'] = ratio(method, plain)
    if method in VARIANTS:
        entry['step_to_plain'] = ratio(VARIANTS[method], method)
    if result['matrix_rate']:
        peak = result['matrix_rate']['rate']['median']
        entry['utilisation'] = operations * entry['rate']['median'] / peak
    return entry
