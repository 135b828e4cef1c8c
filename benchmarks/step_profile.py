"""Where a GPU's time goes in a training step, by kind of kernel."""

from collections.abc import Callable

KINDS = {  # the first whose word is in the kernel's name
    'attention': ('flash', 'fmha', 'attention', 'cudnn_generated'),
    'matrix products': ('gemm', 'cutlass', 'nvjet', 'cublas', 'splitk'),
    'optimizer and EMA': ('multi_tensor', 'foreach', 'adam'),
    'compiled': ('triton',),
    'normalization': ('layer_norm', 'layernorm', 'batch_norm', 'gammabeta'),
    'copies and casts': ('memcpy', 'memset', 'copy', 'catarray'),
    'reductions': ('reduce', 'softmax'),
    'elementwise': ('elementwise', 'vectorized'),
}
KERNELS = 15  # kept by name


def profile(steps: Callable[[], object]) -> dict:
    """Record the GPU's kernels while some steps run.

    Args:
        steps: trains, and waits for the GPU.

    Returns:
        ``seconds`` of all kernels and of the ``span`` from the first to the last one, in the rest
        of which the GPU waited (both 0 where the driver lets nobody watch); ``kinds``: seconds by
        kind; ``kernels``: the longest ones, ``dict(name, calls, seconds)``.
    """
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    with record(activities=[ProfilerActivity.CUDA]) as found:
        steps()
    spans = [
        (event.name, event.time_range.start, event.time_range.end)
        for event in found.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    ]
    by_name: dict[str, list[float]] = {}
    for name, start, end in spans:
        by_name.setdefault(name, []).append((end - start) / 1e6)
    kinds: dict[str, float] = {}
    for name, seconds in by_name.items():
        kind = kind_of(name)
        kinds[kind] = kinds.get(kind, 0.0) + sum(seconds)
    longest = sorted(by_name.items(), key=lambda item: -sum(item[1]))[:KERNELS]
    starts, ends = [start for _, start, _ in spans], [end for *_, end in spans]
    return dict(
        seconds=sum(kinds.values()),
        span=(max(ends) - min(starts)) / 1e6 if spans else 0.0,
        kinds=kinds,
        kernels=[
            dict(name=name[:160], calls=len(seconds), seconds=sum(seconds))
            for name, seconds in longest
        ],
    )


def kind_of(kernel: str) -> str:
    """Return the kind of a kernel by its name: a key of ``KINDS``, or ``'other'``."""
    name = kernel.lower()
    found = (kind for kind, words in KINDS.items() if any(word in name for word in words))
    return next(found, 'other')
