"""Images per second, the share of waiting, and the use of the GPU."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub
from toy_run import toy_runner

from symmim_mm.engine.hooks.throughput_hook import ThroughputHook, peak_flops


def logged(
    name: str, step_s: float, data_s: float, peak: float | None = None, iterations: int = 7
) -> dict[str, float]:
    """Return what the hook logs of a training with batches of two and a window of three."""
    hook = ThroughputHook(window=3, flops_per_image=1e12)
    hub = MessageHub.get_instance(name)
    runner = SimpleNamespace(
        iter=0, message_hub=hub, train_dataloader=SimpleNamespace(batch_size=2),
        logger=logging.getLogger(name),
    )  # fmt: skip
    hook.before_train(runner)
    hook.peak = peak
    for runner.iter in range(iterations):
        hub.update_scalar('train/time', step_s)
        hub.update_scalar('train/data_time', data_s)
        hook.after_train_iter(runner, batch_idx=runner.iter)
    return {key: value.current() for key, value in hub.log_scalars.items()}


def test_a_slow_loader_is_reported_once(caplog) -> None:
    found = logged('slow', step_s=0.05, data_s=0.04, peak=80e12, iterations=12)
    assert found['train/images_per_s'] == pytest.approx(40)
    assert found['train/data_share'] == pytest.approx(0.8)
    assert found['train/mfu'] == pytest.approx(0.5)
    assert caplog.text.count('the loader slows the training down: 80% of the time') == 1


def test_a_fast_loader_is_not(caplog) -> None:
    found = logged('fast', step_s=0.05, data_s=0.002)
    assert found['train/data_share'] == pytest.approx(0.04)
    assert 'train/mfu' not in found and not caplog.text  # a CPU has no known peak
    assert 'train/images_per_s' not in logged('start', 0.05, 0.04, iterations=6)


def test_in_a_run(tmp_path: Path) -> None:
    throughput = dict(type='symmim_mm.ThroughputHook', window=2)
    runner = toy_runner(tmp_path, epochs=1, extra=dict(throughput=throughput))
    runner.train()
    hub = runner.message_hub
    expected = runner.train_dataloader.batch_size / hub.get_scalar('train/time').mean(2)
    assert hub.get_scalar('train/images_per_s').current() == pytest.approx(expected)


@pytest.mark.parametrize(
    ('name', 'peak'),
    [
        ('NVIDIA H100 80GB HBM3', 989e12),
        ('NVIDIA H100 PCIe', 756e12),
        ('NVIDIA H100 NVL', 835e12),
        ('NVIDIA A100-SXM4-80GB', 312e12),
        ('NVIDIA L40', None),
        ('NVIDIA A10G', None),
        ('NVIDIA RTX A4000', None),
        ('Some other device', None),
    ],
)
def test_peaks(name: str, peak: float | None) -> None:
    assert peak_flops(name) == peak
