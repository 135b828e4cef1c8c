"""Logged scalars arrive complete and in order, and nothing waits for them on a GPU."""

import pytest
import torch

from symmim_mm.utils.async_scalars import LAG, AsyncScalars

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')


def test_order_and_lag() -> None:
    queue = AsyncScalars()
    for step in range(4):
        queue.put(dict(loss=torch.tensor(step), norm=torch.tensor([0.5 * step])))
    assert list(queue.take(lag=3)) == [dict(loss=0.0, norm=0.0)]
    assert list(queue.take(lag=3)) == []
    # On a CPU nothing is late.
    assert [scalars['loss'] for scalars in queue.take()] == [1.0, 2.0, 3.0]
    assert list(queue.take()) == list(queue.take(lag=0)) == []
    queue.put(dict(skipped=torch.tensor(True), norm=torch.tensor(float('inf'))))
    assert list(queue.take()) == [dict(skipped=1.0, norm=float('inf'))]


@needs_gpu
def test_scalars_of_a_gpu_come_two_steps_later() -> None:
    queue = AsyncScalars()
    for step in range(4):
        queue.put(dict(loss=torch.tensor(float(step), device='cuda')))
    assert [scalars['loss'] for scalars in queue.take()] == list(range(4 - LAG))
    assert [scalars['loss'] for scalars in queue.take(lag=0)] == [2.0, 3.0]


@needs_gpu
@pytest.mark.slow
@pytest.mark.parametrize('method', ['mae', 'simmim', 'symmim', 'symmim-sparse'])
def test_a_step_waits_for_nothing_on_a_gpu(method: str) -> None:
    """torch raises at every operation for which the program would wait."""
    from benchmarks.step_cases import make_trainer

    trainer = make_trainer('quickstart', method, torch.device('cuda'), amp=True)
    for _ in range(LAG + 2):  # libraries and the optimizer allocate, constants are copied
        trainer.train(4)
    batch = trainer.make_batch(4)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        trainer._step(batch)
    finally:
        torch.cuda.set_sync_debug_mode('default')
