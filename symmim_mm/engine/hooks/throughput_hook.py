"""Training speed, time spent waiting for data, and use of the GPU."""

import re

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from symmim_mm.registry import HOOKS

# Dense 16-bit matrix FLOP/s from NVIDIA's data sheets; the first name whose words are in the
# device's counts.
PEAKS = {
    'H100 PCIe': 756e12, 'H100 NVL': 835e12, 'H100': 989e12, 'H200': 989e12, 'B200': 2250e12,
    'A100': 312e12, 'A40': 149.7e12, 'A10': 125e12, 'L40S': 362e12, 'L4': 121e12, 'V100': 125e12,
    'T4': 65e12,
}  # fmt: skip


def peak_flops(device_name: str) -> float | None:
    """Return the dense 16-bit peak of a GPU in FLOP/s; ``None`` where it is not known."""
    found = (peak for name, peak in PEAKS.items() if re.search(rf'\b{name}\b', device_name))
    return next(found, None)


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Logs ``images_per_s`` (of all processes), ``data_share`` and, where it is known, ``mfu``.

    ``data_share`` is the share of the time in which the training waits for data; above
    ``most_data_share`` the log says once that the loader is the bottleneck. ``mfu``, model FLOPs
    utilization, is the FLOPs of forward and backward pass (without what activation checkpointing
    computes again), as ``--dry-run`` counts them, over the device's peak in 16 bits: in mixed
    precision and on GPUs of ``PEAKS`` only. All are means over ``window`` iterations and start
    after the first window, which holds the start-up.

    Args:
        window: iterations.
        most_data_share: in [0, 1].
        flops_per_image: of forward and backward pass; ``None`` leaves ``mfu`` out.
    """

    def __init__(
        self,
        window: int = 50,
        most_data_share: float = 0.1,
        flops_per_image: float | None = None,
    ) -> None:
        self.window = window
        self.most_data_share = most_data_share
        self.flops = flops_per_image
        self.peak: float | None = None
        self.warned = False

    def before_train(self, runner: Runner) -> None:
        """Note where the training starts, and on what device."""
        self.started = runner.iter
        if torch.cuda.is_available():
            self.peak = peak_flops(torch.cuda.get_device_name())

    def after_train_iter(self, runner: Runner, **_: object) -> None:
        """Log the means of the last window."""
        if runner.iter - self.started < 2 * self.window:
            return
        hub = runner.message_hub
        seconds = hub.get_scalar('train/time').mean(self.window)
        images = runner.train_dataloader.batch_size / seconds  # of this process
        share = hub.get_scalar('train/data_time').mean(self.window) / seconds
        hub.update_scalar('train/images_per_s', images * get_world_size())
        hub.update_scalar('train/data_share', share)
        if self.flops and self.peak:
            hub.update_scalar('train/mfu', images * self.flops / self.peak)
        if share > self.most_data_share and not self.warned:
            self.warned = True
            runner.logger.warning(
                f'the loader slows the training down: {share:.0%} of the time goes into waiting '
                'for data; raise train_dataloader.num_workers or store smaller images '
                '(folders of images: tools/prepare_dataset.py)'
            )
