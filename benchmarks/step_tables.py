"""Tables of ``tools/benchmark.py step``."""

from benchmarks.common import markdown, with_spread
from benchmarks.step_methods import METHODS, SIZES, YARDSTICK

MIB = 2**20


def tables(result: dict) -> dict[str, str]:
    """Markdown of a result: ``SIZE``, ``parts SIZE`` and ``memory SIZE``."""
    found = {}
    for size, cases in result['sizes'].items():
        found[size] = _speed(size, cases, result)
        found[f'parts {size}'] = _parts(cases)
        if any('memory' in case for case in cases.values()):
            found[f'memory {size}'] = _memory(cases)
    return found


def _speed(size: str, cases: dict, result: dict) -> str:
    yardstick = cases.get(YARDSTICK)
    header = [
        f'{SIZES[size]}, {next(iter(cases.values()))["batch"]} pictures', 'pictures a second',
        "step, times SimMIM's", 'by FLOPs', "speed, times stock's", 'GFLOP a picture',
    ]  # fmt: skip
    if result['matrix_rate']:
        header.append('share of the matrix rate')
    rows = []
    for method, case in cases.items():
        plain = case['operations'] / yardstick['operations'] if yardstick else None
        row = [
            METHODS[method],
            with_spread(case['rate'], _form(case['rate']['median'])),
            _ratio(case['step_to_yardstick']),
            # What checkpointing computes again is no work of the model's.
            '' if plain is None or case['checkpointed'] else f'{plain:.2f}',
            _ratio(case.get('speed_to_stock')),
            f'{case["operations"] / 1e9:.1f}',
        ]
        if result['matrix_rate']:
            row.append(f'{case["utilisation"]:.0%}')
        rows.append(row)
    return markdown(header, rows)


def _parts(cases: dict) -> str:
    """Shares of the step; the last column computes them for the batch of the recipe."""
    header = ['', 'forward', 'backward', 'optimizer', 'EMA', 'optimizer + EMA in the recipe']
    rows = []
    for method, case in cases.items():
        shares = case['shares']
        update = update_share(case)
        rows.append([
            METHODS[method],
            *(f'{shares[name]:.1%}' if name in shares else ''
              for name in ('forward', 'backward', 'optimizer', 'ema')),
            f'{update:.1%} of {case["recipe_batch"]} pictures',
        ])  # fmt: skip
    return markdown(header, rows)


def update_share(case: dict) -> float:
    """Share of optimizer and EMA, whose time does not grow with it, at the batch of the recipe."""
    update = case['shares'].get('optimizer', 0.0) + case['shares'].get('ema', 0.0)
    passes = (1 - update) * case['recipe_batch'] / case['batch']
    return update / (update + passes)


def _memory(cases: dict) -> str:
    header = ['', 'MiB a picture', 'MiB besides', 'MiB kept between steps', 'step, times plain']
    rows = []
    for method, case in cases.items():
        memory = case.get('memory')
        sizes = [memory[name] / MIB for name in ('each', 'fixed', 'kept')] if memory else []
        cells = [f'{size:.0f}' for size in sizes] or ['', '', '']
        rows.append([METHODS[method], *cells, _ratio(case.get('step_to_plain'))])
    return markdown(header, rows)


def _ratio(values: dict | None) -> str:
    return '' if values is None else with_spread(values, '.2f')


def _form(value: float) -> str:
    return '.0f' if value >= 100 else '.3g'
