"""The page of a run while it trains, and reconstructions over time."""

import logging
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from symmim_mm.engine.hooks.images_hook import SIDE, draw_over_time, is_due
from symmim_mm.engine.hooks.page_hook import PageHook
from symmim_mm.engine.hooks.record_hook import RecordHook


def test_reconstructions_of_all_attempts_side_by_side(tmp_path: Path) -> None:
    """By step, each once, the later attempt's; a step that was cut off is left out."""
    for attempt, steps in (('1', (2, 4)), ('2', (4, 10))):
        for step in steps:
            for number in range(2):
                panels = [
                    np.full((8, 8, 3), v, np.uint8) for v in (10, 20, 10 * step + int(attempt))
                ]
                folder = tmp_path / attempt / 'vis_data/vis_image'
                folder.mkdir(parents=True, exist_ok=True)
                image = np.hstack(panels)
                assert cv2.imwrite(str(folder / f'held_out_{number}_{step}.png'), image)
    (tmp_path / '2/vis_data/vis_image/held_out_1_10.png').write_bytes(b'cut off')
    draw_over_time(tmp_path)
    drawn = cv2.imread(str(tmp_path / 'images/over_time.png'))
    assert drawn.shape == (24 + 2 * SIDE, 3 * SIDE + 2 * 4, 3)
    assert drawn[-1, SIDE // 2 :: SIDE + 4, 0].tolist() == [10, 21, 42]


@pytest.mark.parametrize(('steps', 'count'), [(3, 3), (40, 10), (36, 12)])
def test_about_ten_times(steps: int, count: int) -> None:
    assert sum(is_due(SimpleNamespace(iter=i, max_iters=steps)) for i in range(steps)) == count


def test_a_page_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Here the curve cannot be, and the record is missing; after a test no page is tried."""
    (tmp_path / '1/vis_data').mkdir(parents=True)
    (tmp_path / '1/vis_data/scalars.json').write_text('{"loss": 1.0, "step": 1}\n')
    (tmp_path / 'curve.jsonl').mkdir()
    hook, logger = PageHook(), logging.getLogger('page')
    runner = SimpleNamespace(
        work_dir=str(tmp_path), logger=logger, hooks=[RecordHook('a.py')], iter=0, max_iters=1
    )
    hook.after_run(runner)
    assert not caplog.text
    hook.before_train(runner)
    hook.after_train_iter(runner)
    assert 'the page is not written: [Errno 21] Is a directory' in caplog.text
    hook.after_run(runner)
    assert caplog.text.count('the page is not written') == 2
