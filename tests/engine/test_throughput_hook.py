"""Images a second and the share of waiting, on a training that really waits."""

import time

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from symmim_mm.engine.throughput_hook import ThroughputHook, peak_rate


class Slow(Dataset):
    """Twenty samples that take a while each."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(self.seconds)
        return torch.ones(1)


class Model(BaseModel):
    """One weight and a step that takes a while."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seconds = seconds

    def forward(self, inputs: torch.Tensor, mode: str = 'loss') -> dict:
        time.sleep(self.seconds)
        return dict(loss=self.layer(inputs.float()).square().mean())


class Tensors(Model):
    def train_step(self, data: torch.Tensor, optim_wrapper) -> dict:
        loss = self(data)['loss']
        optim_wrapper.update_params(loss)
        return dict(loss=loss)


def scalars(tmp_path, loading: float, computing: float, batch: int = 2) -> tuple[dict, str]:
    class Keep(Hook):
        priority = 'LOWEST'

        def after_train(self, runner: Runner) -> None:
            runner.kept = {
                name.removeprefix('train/'): buffer.current()
                for name, buffer in runner.message_hub.log_scalars.items()
            }

    runner = Runner(
        Tensors(computing),
        work_dir=str(tmp_path),
        train_dataloader=DataLoader(Slow(loading), batch_size=batch, num_workers=0),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        custom_hooks=[ThroughputHook(window=3), Keep()],
        default_scope='mmpretrain',
        experiment_name=f'throughput-{loading}-{computing}',
    )
    runner.train()
    log = next(tmp_path.glob('*/*.log')).read_text()
    return runner.kept, log


def test_a_slow_loader_is_named(tmp_path) -> None:
    found, log = scalars(tmp_path, loading=0.02, computing=0.01)
    # 2 pictures of 20 ms and a step of 10 ms: at most 40 a second, four fifths of it waiting.
    assert found['images_per_s'] <= 40
    assert 0.5 < found['data_share'] < 0.95
    assert log.count('the loader holds the training back') == 1


def test_a_fast_loader_is_not(tmp_path) -> None:
    found, log = scalars(tmp_path, loading=0.0, computing=0.05)
    assert found['images_per_s'] <= 40
    assert found['data_share'] < 0.3
    assert 'mfu' not in found  # a CPU has no known peak
    assert found['data_share'] > 0.1 or 'holds the training back' not in log


@pytest.mark.parametrize(
    ('name', 'rate'),
    [
        ('NVIDIA H100 80GB HBM3', 989e12),
        ('NVIDIA H100 PCIe', 756e12),
        ('NVIDIA A100-SXM4-80GB', 312e12),
        ('Some other device', None),
    ],
)
def test_peaks(name: str, rate: float | None) -> None:
    assert peak_rate(name) == rate
