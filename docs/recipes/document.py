"""The text of ``docs/recipes.md``."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from docs.recipes.comparison import RECIPES, comparison_lines, read_recipe
from symmim_mm.config.file import read_config_file
from symmim_mm.planning.run_plan import RunPlan, plan_run
from symmim_mm.planning.text import COUNTED, DETECTION, LEFT_OUT

GPUS = 8
SMALL = ('_base_', 'quickstart', 'real', 'evidence')
INTRODUCTION = """\
# Recipes

Made by `make docs` from the configs; do not edit. `symmim train CONFIG --dry-run --gpus N` prints
the same for any config and any number of GPUs, together with the parameter groups.
"""
SIZES = f"""\
## Sizes and FLOPs

G: 10^9 FLOPs for one image. Counted: {COUNTED} SymMIM's forward pass runs both encoders.
{DETECTION}
Memory is of one of {GPUS} GPUs: *fixed* is parameters, gradients, optimizer states and the buckets
of DistributedDataParallel in float32; *activations* with bfloat16. {LEFT_OUT}
"""
SCHEDULES = f"""\
## Steps and learning rates

On {GPUS} GPUs; on another number the batch of a step, its learning rate and the number of steps are
the same (but for images that do not fill the last batch of an epoch). Learning rates are those of
groups of full rate, after a quarter, a half and three quarters of the run, and in the last step.
"""
COMPARISON = """\
## Ours and published

What no source states is *ours*. If ours differs from what is published, the published value is bold
and the reason is given. A source is a file (`repository@commit:path`) or a paper, as in
`docs/recipes/published/`, where these values are kept.
"""


def full_configs(configs: Path) -> list[str]:
    """Return the names of all configs for data of full size, in order."""
    paths = sorted(path.relative_to(configs) for path in configs.rglob('*.py'))
    return [path.with_suffix('').as_posix() for path in paths if path.parts[0] not in SMALL]


def make_plans(configs: Path, names: Iterable[str]) -> dict[str, RunPlan]:
    """Plan the runs of some configs by their names; this takes some seconds for each."""
    return {name: plan_run(read_config_file(configs / f'{name}.py'), GPUS) for name in names}


def write_document(configs: Path) -> str:
    """Return the whole document."""
    plans = make_plans(configs, full_configs(configs))
    parts = [INTRODUCTION, SIZES, *size_lines(plans), '', SCHEDULES, *schedule_lines(plans), '']
    return '\n'.join(parts) + '\n' + write_comparison(configs)


def write_comparison(configs: Path) -> str:
    """Return the last section of the document."""
    lines = [COMPARISON]
    for name in RECIPES:
        lines += [*comparison_lines(read_recipe(name), configs), '']
    return '\n'.join(lines).rstrip() + '\n'


def size_lines(plans: dict[str, RunPlan]) -> Iterator[str]:
    """Yield the table of sizes, FLOPs and memory."""
    yield (
        '| config | images | parameters, M | backbone, M | tokens | forward, G | forward and '
        'backward, G | fixed, GiB | activations, GiB |'
    )
    yield '|---|---|---|---|---|---|---|---|---|'
    for name, plan in plans.items():
        size, cost = plan.model_size, plan.flops
        tokens = ' + '.join(str(tokens.encoded) for tokens in plan.tokens)
        backward = f'{cost.forward_backward / 1e9:.1f}' if cost.forward_backward else ''
        yield (
            f'| {name} | {plan.size[0]} x {plan.size[1]} | {size.parameters / 1e6:.1f} | '
            f'{size.backbone / 1e6:.1f} | {tokens} | {cost.forward / 1e9:.1f} | {backward} | '
            f'{plan.memory.total / 2**30:.1f} | {plan.activations.bfloat16 / 2**30:.1f} for '
            f'{plan.activations.images} |'
        )


def schedule_lines(plans: dict[str, RunPlan]) -> Iterator[str]:
    """Yield the table of batches, steps and learning rates, of the configs that train."""
    yield (
        '| config | batch = GPUs x images x micro-batches | steps | epochs | warm-up, steps | '
        'peak | 1/4 | 1/2 | 3/4 | last |'
    )
    yield '|---|---|---|---|---|---|---|---|---|---|'
    for name, plan in plans.items():
        if plan.length is None:
            continue
        batch, length = plan.batch, plan.length
        samples = {sample.name: sample for sample in plan.rates}
        warmup = samples.get('warm-up end', samples['first']).step
        rates = ' | '.join(f'{samples[at].rate:.3g}' for at in ('1/4', '1/2', '3/4', 'last'))
        peak = max(group.lr for group in plan.groups)
        yield (
            f'| {name} | {batch.whole} = {batch.processes} x {batch.per_process} x '
            f'{batch.accumulation} | {length.steps:,} | {length.epochs:.4g} | {warmup:,} | '
            f'{peak:.3g} | {rates} |'
        )
