"""A plan as text."""

from collections.abc import Iterator

from symmim_mm.planning.run_plan import RunPlan
from symmim_mm.planning.tokens import Tokens

GIB, MIB = 2**30, 2**20
COUNTED = (
    'matrix products, convolutions and attention; a multiplication and an addition are two. '
    'Not counted: norms, activations, losses, optimizer and EMA, loading and augmentation.'
)
DETECTION = (
    'Detection counts backbone, neck, proposal head, and box and mask head on the largest number '
    'of regions that training samples; not what depends on the boxes (assignment, sampling, '
    'suppression, RoI align, losses).'
)
LEFT_OUT = (
    'Activations: peak of the tensors alive during one micro-batch, measured on fake tensors with '
    'fused attention. Not counted: temporary memory of kernels, what the allocator rounds up and '
    'caches, the CUDA context (about half a GiB), input queues.'
)


def write_plan(plan: RunPlan, list_parameters: bool = False) -> str:
    """Return the plan in lines of ``name  value``, then the table of parameter groups."""
    lines = [f'{name:<12} {value}' for name, value in _rows(plan)]
    if plan.groups:
        lines += ['', *_group_table(plan, list_parameters)]
    lines += ['', f'FLOPs: {COUNTED}']
    if plan.task == 'detection':
        lines.append(DETECTION)
    lines.append(LEFT_OUT)
    return '\n'.join(lines)


def _rows(plan: RunPlan) -> Iterator[tuple[str, str]]:
    yield 'task', ', '.join(filter(None, (plan.task, plan.method)))
    yield 'model', plan.model
    size = plan.model_size
    yield (
        'parameters',
        f'{size.parameters:,} in all, {size.trained:,} trained, {size.backbone:,} of the backbone',
    )
    yield 'images', f'{plan.size[0]} x {plan.size[1]} pixels'
    for tokens in plan.tokens:
        yield 'tokens', _tokens(tokens)
    yield 'FLOPs', _flops(plan)
    yield from _run_rows(plan)
    yield from _memory_rows(plan)


def _tokens(tokens: Tokens) -> str:
    rows, columns = tokens.grid
    text = f'{tokens.encoder}: {tokens.patches} patches ({rows} x {columns})'
    if tokens.masked:
        visible = [tokens.patches - count for count in tokens.masked]
        masked = ' or '.join(map(str, tokens.masked))
        text += f', {masked} masked, {" or ".join(map(str, visible))} visible'
    text += f'; {tokens.encoded} tokens encoded'
    if tokens.windows:
        text += (
            f'; {tokens.windows} windows of {tokens.per_window} tokens '
            f'in {tokens.windowed_blocks} blocks'
        )
    return text


def _flops(plan: RunPlan) -> str:
    cost = plan.flops
    parts = ', '.join(f'{name} {count / 1e9:.2f}' for name, count in cost.parts.items())
    text = f'{cost.forward / 1e9:.2f} G per image forward ({parts})'
    if cost.forward_backward:
        text += f', {cost.forward_backward / 1e9:.2f} G forward and backward'
    return text


def _run_rows(plan: RunPlan) -> Iterator[tuple[str, str]]:
    data = plan.images
    count = 'unknown number of' if data.count is None else f'{data.count:,}'
    yield 'data', f'{data.dataset}: {count} training images ({data.source})'
    if data.problem:
        yield '', f'absent: {data.problem}'
    yield 'optimizer', plan.optimizer
    batch = plan.batch
    if not plan.groups:
        yield 'batch', f'{batch.per_process} images, one process'
        return
    yield (
        'batch',
        f'{batch.whole:,} images per step = {batch.processes} processes x {batch.per_process} '
        f'images x {batch.accumulation} micro-batches',
    )
    if batch.negatives is not None:
        yield 'negatives', f'{batch.negatives:,} keys of other images for each query'
    if plan.length is None:
        yield 'length', 'unknown while the data are absent'
        return
    length = plan.length
    epochs = '' if length.epochs is None else f', {length.epochs:,.4g} epochs'
    yield (
        'length',
        f'{length.steps:,} optimizer steps, {length.iterations:,} micro-batches per process'
        f'{epochs}, {length.images_seen:,} images seen',
    )
    for sample in plan.rates:
        momentum = '' if sample.momentum is None else f', EMA momentum {sample.momentum:.6f}'
        yield 'lr', f'{sample.rate:.6g} in step {sample.step:,} ({sample.name}){momentum}'


def _memory_rows(plan: RunPlan) -> Iterator[tuple[str, str]]:
    memory = plan.memory
    copy = memory.momentum_copy
    momentum = f' (momentum copy: {_bytes(copy)})' if copy else ''
    yield (
        'memory',
        f'{_bytes(memory.total)} per process: parameters {_bytes(memory.parameters)}{momentum}, '
        f'buffers {_bytes(memory.buffers)}, gradients {_bytes(memory.gradients)}, optimizer states '
        f'{_bytes(memory.optimizer_states)}, DDP buckets {_bytes(memory.gradient_buckets)}',
    )
    if plan.sharded:
        shares, gathered = _bytes(plan.sharded.shares), _bytes(plan.sharded.gathered)
        yield '', f'or with --fsdp {shares}, and up to {gathered} gathered at a time'
    activations = plan.activations
    for name in ('float32', 'bfloat16'):
        size = getattr(activations, name)
        yield (
            '',
            f'+ activations of {activations.images} images in {name} {_bytes(size)} = '
            f'{_bytes(memory.total + size)}',
        )


def _bytes(size: int) -> str:
    return f'{size / GIB:.2f} GiB' if size >= GIB else f'{size / MIB:.1f} MiB'


def _group_table(plan: RunPlan, list_parameters: bool) -> Iterator[str]:
    yield f'{"lr scale":>10} {"peak lr":>12} {"decay":>8} {"tensors":>8} {"parameters":>14}'
    for group in plan.groups:
        yield (
            f'{group.lr_scale:>10.6f} {group.lr:>12.4e} {group.weight_decay:>8g} '
            f'{len(group.names):>8} {group.parameters:>14,}'
        )
        if list_parameters:
            yield from (f'    {name}' for name in group.names)
