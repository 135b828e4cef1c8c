"""Images a second and the share of waiting, by a clock that only the training moves."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook, iter_timer_hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from symmim_mm.engine.hooks.throughput_hook import ThroughputHook, peak_flops


class Clock:
    """The time of MMEngine's timer: a busy machine must not decide what is measured."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(iter_timer_hook, 'time', SimpleNamespace(time=made.time))
    return made


class Slow(Dataset):
    """Twenty samples that take a while each."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> torch.Tensor:
        self.clock.pass_by(self.seconds)
        return torch.ones(1)


class Model(BaseModel):
    """One weight and a step that takes a while."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock = clock
        self.layer = nn.Linear(1, 1)
        self.seconds = seconds

    def forward(self, inputs: torch.Tensor, mode: str = 'loss') -> dict:
        self.clock.pass_by(self.seconds)
        return dict(loss=self.layer(inputs.float()).square().mean())


class Tensors(Model):
    def train_step(self, data: torch.Tensor, optim_wrapper) -> dict:
        loss = self(data)['loss']
        optim_wrapper.update_params(loss)
        return dict(loss=loss)


def scalars(tmp_path, clock: Clock, loading: float, computing: float) -> tuple[dict, str]:
    class Keep(Hook):
        priority = 'LOWEST'

        def after_train(self, runner: Runner) -> None:
            runner.kept = {
                name.removeprefix('train/'): buffer.current()
                for name, buffer in runner.message_hub.log_scalars.items()
            }

    runner = Runner(
        Tensors(clock, computing),
        work_dir=str(tmp_path),
        train_dataloader=DataLoader(Slow(clock, loading), batch_size=2, num_workers=0),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        custom_hooks=[ThroughputHook(window=3), Keep()],
        default_scope='mmpretrain',
        experiment_name=f'throughput-{loading}-{computing}',
    )
    runner.train()
    log = next(tmp_path.glob('*/*.log')).read_text()
    return runner.kept, log


def test_a_slow_loader_is_named(tmp_path, clock: Clock) -> None:
    found, log = scalars(tmp_path, clock, loading=0.02, computing=0.01)
    # 2 images of 20 ms and a step of 10 ms: 40 a second, four fifths of it waiting.
    assert found['images_per_s'] == pytest.approx(40)
    assert found['data_share'] == pytest.approx(0.8)
    assert log.count('the loader slows the training down: 80% of the time') == 1


def test_a_fast_loader_is_not(tmp_path, clock: Clock) -> None:
    found, log = scalars(tmp_path, clock, loading=0.001, computing=0.048)
    assert found['images_per_s'] == pytest.approx(40)
    assert found['data_share'] == pytest.approx(0.04)
    assert 'mfu' not in found  # a CPU has no known peak
    assert 'slows the training down' not in log


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
    assert peak_flops(name) == rate
