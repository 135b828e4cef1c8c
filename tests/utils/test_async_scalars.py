"""What is logged of a step arrives, in order, and nobody waits for it on a GPU."""

import pytest
import torch
from mmengine.hooks import RuntimeInfoHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from symmim_mm.engine.hooks.runtime_info_hook import LateRuntimeInfoHook
from symmim_mm.utils.async_scalars import LAG, LateNumbers, LateQueue

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')


def test_numbers() -> None:
    assert LateNumbers(torch.tensor([True, False])).numbers() == [True, False]
    assert LateNumbers(torch.tensor([0.5, float('inf')])).numbers() == [0.5, float('inf')]


def test_order_and_lag() -> None:
    queue = LateQueue()
    for step in range(4):
        queue.put(dict(loss=torch.tensor(step), norm=torch.tensor([0.5 * step])))
    assert list(queue.take(lag=3)) == [('loss', 0.0), ('norm', 0.0)]
    assert list(queue.take(lag=3)) == []
    # On a CPU nothing is late.
    assert [value for name, value in queue.take() if name == 'loss'] == [1.0, 2.0, 3.0]
    assert list(queue.take()) == list(queue.take(lag=0)) == []


class Model(BaseModel):
    """A line through points, with two losses."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs: Tensor, mode: str) -> dict:
        error = self.layer(inputs) - inputs
        return dict(loss_a=error.square().mean(), loss_b=error.abs().mean())

    def train_step(self, data: Tensor, optim_wrapper) -> dict:
        loss, values = self.parse_losses(self(data.to(self.layer.weight.device), 'loss'))
        optim_wrapper.update_params(loss)
        return values


def histories(tmp_path, hook: type, name: str) -> dict[str, list[float]]:
    torch.manual_seed(0)
    points = torch.linspace(-1.0, 1.0, 10)[:, None]
    runner = Runner(
        Model(),
        work_dir=str(tmp_path / name),
        train_dataloader=DataLoader(points, batch_size=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        default_hooks=dict(runtime_info=dict(type=hook)),
        default_scope='mmpretrain',
        experiment_name=name,
    )
    runner.train()
    scalars = runner.message_hub.log_scalars
    return {key: scalars[f'train/{key}'].data[0].tolist() for key in ('loss', 'loss_a', 'loss_b')}


def test_the_log_holds_what_mmengine_would_log(tmp_path) -> None:
    expected = histories(tmp_path, RuntimeInfoHook, f'theirs-{tmp_path.name}')
    found = histories(tmp_path, LateRuntimeInfoHook, f'ours-{tmp_path.name}')
    assert len(found['loss']) == 10
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, rel=1e-6)


@needs_gpu
def test_numbers_of_a_gpu_come_two_steps_later() -> None:
    queue = LateQueue()
    for step in range(4):
        queue.put(dict(loss=torch.tensor(float(step), device='cuda')))
    assert [value for _, value in queue.take()] == [float(step) for step in range(4 - LAG)]
    assert [value for _, value in queue.take(lag=0)] == [2.0, 3.0]


@needs_gpu
@pytest.mark.slow
@pytest.mark.parametrize('method', ['mae', 'simmim', 'symmim', 'symmim-sparse'])
def test_a_step_waits_for_nothing_on_a_gpu(method: str) -> None:
    """torch raises at every operation for which the program would wait."""
    from benchmarks.step_cases import make_trainer

    trainer = make_trainer('quickstart', method, torch.device('cuda'), amp=True)
    for _ in range(LAG + 2):  # libraries and the optimizer make room, constants are copied
        trainer.train(4)
    batch = trainer.make_batch(4)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        trainer._step(batch)
    finally:
        torch.cuda.set_sync_debug_mode('default')
