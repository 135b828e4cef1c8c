"""The file of a test's metrics when several processes test together."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.runner import LogProcessor

from symmim_mm.engine.hooks import SafeLoggerHook


@pytest.mark.parametrize('rank', [0, 1])
def test_one_process_writes_the_metrics(rank: int, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: rank)
    hub = MessageHub.get_instance(f'metrics_{rank}')
    hub.update_scalar('test/mIoU', 12.5)
    runner = SimpleNamespace(
        log_dir=str(tmp_path),
        log_processor=LogProcessor(by_epoch=False),
        logger=MMLogger.get_instance(f'metrics_{rank}'),
        message_hub=hub,
        test_dataloader=range(3),
        test_loop=SimpleNamespace(dataloader=range(3)),
    )
    hook = SafeLoggerHook()
    hook.json_log_path = 'metrics.json'
    hook.after_test_epoch(runner)
    files = list(tmp_path.iterdir())
    assert len(files) == (rank == 0)
    assert all(json.loads(file.read_text())['mIoU'] == 12.5 for file in files)
