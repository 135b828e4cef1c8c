"""Names and tables of ``tools/benchmark.py step``."""

from benchmarks.common import markdown, with_spread
from benchmarks.step_profile import KINDS

SIZES = dict(s='ViT-S', b='ViT-B', l='ViT-L', quickstart='quickstart')

PLAIN = {
    'mae': 'MAE',
    'mae-stock': 'MAE, stock MMPretrain',
    'simmim': 'SimMIM',
    'symmim': 'SymMIM sparse',  # configs/symmim
    'symmim-dense': 'SymMIM dense',  # its literal reading
    'symmim-stock': 'SymMIM of stock parts',
}

STOCK = {'mae-stock': 'mae', 'symmim-stock': 'symmim-dense'}
"""Cases built from MMPretrain's parts, and the cases of ours that they correspond to."""

OURS = tuple(name for name in PLAIN if name not in STOCK)

CHECKPOINTED = {f'{name}-checkpointed': name for name in ('symmim', 'symmim-dense')}
COMPILED = {f'{name}-compiled': name for name in OURS}
VARIANTS = CHECKPOINTED | COMPILED
"""Cases with activation checkpointing, or compiled, and the cases whose model they share."""

METHODS = PLAIN | {
    f'{name}-{how}': f'{PLAIN[name]}, {how}'
    for how, cases in (('checkpointed', CHECKPOINTED), ('compiled', COMPILED))
    for name in cases.values()
}

FLOAT32 = {f'{name}-float32': name for name in OURS}
"""Cases in float32 next to mixed precision, and the cases that they correspond to."""

TITLES = METHODS | {name: f'{PLAIN[ours]}, float32' for name, ours in FLOAT32.items()}

YARDSTICK = 'simmim'
"""Case whose step the others are compared with."""

MIB = 2**20


def tables(result: dict) -> dict[str, str]:
    """Return Markdown tables of a result: ``SIZE``, and ``parts``, ``memory``, ``kernels SIZE``."""
    found = {}
    for size, cases in result['sizes'].items():
        found[size] = _speed(size, cases, result)
        found[f'parts {size}'] = _parts(cases)
        if any('memory' in case for case in cases.values()):
            found[f'memory {size}'] = _memory(cases)
        if any('profile' in case for case in cases.values()):
            found[f'kernels {size}'] = _kernels(cases)
    return found


def _speed(size: str, cases: dict, result: dict) -> str:
    yardstick = cases.get(YARDSTICK)
    header = [
        f'{SIZES[size]}, {next(iter(cases.values()))["batch"]} images', 'images per second',
        "step, times SimMIM's", 'by FLOPs', "speed, times stock's", 'GFLOP per image',
    ]  # fmt: skip
    in_float32 = any(case.get('speed_to_float32') for case in cases.values())
    if in_float32:
        header.append("speed, times float32's")
    if result['matrix_rate']:
        header.append('share of the matrix rate')
    rows = []
    for method, case in cases.items():
        plain = case['operations'] / yardstick['operations'] if yardstick else None
        row = [
            TITLES[method],
            with_spread(case['rate'], _form(case['rate']['median'])),
            _ratio(case['step_to_yardstick']),
            # Checkpointing computes more FLOPs than the model has.
            '' if plain is None or case['checkpointed'] else f'{plain:.2f}',
            _ratio(case.get('speed_to_stock')),
            f'{case["operations"] / 1e9:.1f}',
        ]
        if in_float32:
            row.append(_ratio(case.get('speed_to_float32')))
        if result['matrix_rate']:
            row.append(f'{case["utilisation"]:.0%}')
        rows.append(row)
    return markdown(header, rows)


def _parts(cases: dict) -> str:
    """Return the shares of the step; the last column is for the batch of the recipe."""
    header = ['', 'forward', 'backward', 'optimizer', 'EMA', 'optimizer + EMA in the recipe']
    with_first = any('first_repeat_seconds' in case for case in cases.values())
    if with_first:
        header.append('first steps')
    rows = []
    for method, case in cases.items():
        shares = case['shares']
        update = update_share(case)
        rows.append([
            TITLES[method],
            *(f'{shares[name]:.1%}' if name in shares else ''
              for name in ('forward', 'backward', 'optimizer', 'ema')),
            f'{update:.1%} of {case["recipe_batch"]} images',
            *([f'{case["first_repeat_seconds"]:.1f} s'] if with_first else []),
        ])  # fmt: skip
    return markdown(header, rows)


def update_share(case: dict) -> float:
    """Return the share of optimizer and EMA, whose time is constant, at the recipe's batch."""
    update = case['shares'].get('optimizer', 0.0) + case['shares'].get('ema', 0.0)
    passes = (1 - update) * case['recipe_batch'] / case['batch']
    return update / (update + passes)


def _memory(cases: dict) -> str:
    header = ['', 'MiB per image', 'MiB fixed', 'MiB kept between steps', 'step, times plain']
    rows = []
    for method, case in cases.items():
        memory = case.get('memory')
        sizes = [memory[name] / MIB for name in ('each', 'fixed', 'kept')] if memory else []
        cells = [f'{size:.0f}' for size in sizes] or ['', '', '']
        rows.append([TITLES[method], *cells, _ratio(case.get('step_to_plain'))])
    return markdown(header, rows)


def _kernels(cases: dict) -> str:
    """Return milliseconds of a step by kind of kernel; what is left of the step the GPU waits."""
    profiles = {name: case['profile'] for name, case in cases.items() if 'profile' in case}
    kinds = [kind for kind in KINDS if any(kind in found['kinds'] for found in profiles.values())]
    header = ['ms', *(TITLES[name] for name in profiles)]
    rows = [
        [kind, *(f'{1e3 * found["kinds"].get(kind, 0):.1f}' for found in profiles.values())]
        for kind in [*kinds, 'other']
    ]
    waits = (found['span'] - found['seconds'] for found in profiles.values())
    rows.append(['none: the GPU waits', *(f'{1e3 * seconds:.1f}' for seconds in waits)])
    return markdown(header, rows)


def _ratio(values: dict | None) -> str:
    return '' if values is None else with_spread(values, '.2f')


def _form(value: float) -> str:
    return '.0f' if value >= 100 else '.3g'
