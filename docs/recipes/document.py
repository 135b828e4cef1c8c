"""``docs/recipes.md``: what every full-size recipe comes to, and where each value is from."""

from collections.abc import Iterator
from pathlib import Path

from docs.recipes.comparison import RECIPES, comparison_lines
from symmim_mm.config.file import read_config_file
from symmim_mm.planning.run_plan import RunPlan, make_plan
from symmim_mm.planning.text import COUNTED, DETECTION, LEFT_OUT

GPUS = 8
SMALL = ('_base_', 'quickstart', 'real')
INTRODUCTION = """\
# Recipes

Made by `make docs` from the configs; do not edit. `tools/train.py CONFIG --dry-run --gpus N` prints
the same for any config and any number of GPUs, together with the parameter groups.
"""
SIZES = f"""\
## Sizes and operations

G: 10^9 operations for one picture. Counted: {COUNTED} SymMIM's forward pass runs both encoders.
{DETECTION}
Memory is of one of {GPUS} GPUs: *fixed* is parameters, gradients, optimizer states and the buckets
of DistributedDataParallel in float32; *activations* with bfloat16. {LEFT_OUT}
"""
SCHEDULES = f"""\
## Steps and rates

On {GPUS} GPUs, and so on any number: the batch of a step, its rate and the number of steps stay
(to the pictures that do not fill the last batch of an epoch). Rates are those of groups of full
rate, in the steps after a quarter, a half and three quarters of the run, and in the last.
"""
COMPARISON = """\
## Ours and published

What no source states is *ours*. Where ours differs from what is published the value stands bold and
the reason beside it. The sources are the authors' repositories unless a paper is named.
"""


def full_configs(configs: Path) -> list[Path]:
    """Every config for data of full size, in order."""
    found = (p for p in configs.rglob('*.py') if not set(SMALL) & set(p.relative_to(configs).parts))
    return sorted(found)


def write_document(configs: Path) -> str:
    """The whole document; it takes some seconds for every config."""
    plans = {}
    for path in full_configs(configs):
        name = path.relative_to(configs).with_suffix('').as_posix()
        plans[name] = make_plan(read_config_file(path), GPUS)
    parts = [INTRODUCTION, SIZES, *size_lines(plans), '', SCHEDULES, *schedule_lines(plans), '']
    return '\n'.join(parts) + '\n' + write_comparison(configs)


def write_comparison(configs: Path) -> str:
    """The last section of the document alone."""
    lines = [COMPARISON]
    for recipe in RECIPES:
        lines += [*comparison_lines(recipe, configs), '']
    return '\n'.join(lines).rstrip() + '\n'


def size_lines(plans: dict[str, RunPlan]) -> Iterator[str]:
    """Table of sizes, operations and memory."""
    yield (
        '| config | pictures | parameters, M | backbone, M | tokens | forward, G | forward and '
        'backward, G | fixed, GiB | activations, GiB |'
    )
    yield '|---|---|---|---|---|---|---|---|---|'
    for name, plan in plans.items():
        size, cost = plan.model_size, plan.operations
        tokens = ' + '.join(str(tokens.encoded) for tokens in plan.tokens)
        backward = f'{cost.forward_backward / 1e9:.1f}' if cost.forward_backward else ''
        yield (
            f'| {name} | {plan.size[0]} x {plan.size[1]} | {size.parameters / 1e6:.1f} | '
            f'{size.backbone / 1e6:.1f} | {tokens} | {cost.forward / 1e9:.1f} | {backward} | '
            f'{plan.memory.total / 2**30:.1f} | {plan.activations.bfloat16 / 2**30:.1f} for '
            f'{plan.activations.pictures} |'
        )


def schedule_lines(plans: dict[str, RunPlan]) -> Iterator[str]:
    """Table of batches, steps and rates; configs that train nothing are left out."""
    yield (
        '| config | batch = GPUs x pictures x micro-batches | steps | epochs | warm-up, steps | '
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
