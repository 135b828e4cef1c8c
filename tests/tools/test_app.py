"""`symmim app` in a real browser: every tab, and no request to another host."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from explorer_runs import PHOTO, make_run
from own_data import write
from PIL import Image

import symmim_mm

pytestmark = pytest.mark.slow
BROWSER = next(filter(None, map(shutil.which, ('chromium', 'google-chrome'))), None)


@pytest.mark.skipif(BROWSER is None, reason='no chromium')
def test_the_page(tmp_path: Path) -> None:
    pytest.importorskip('gradio', reason='not installed by `make app`')
    api = pytest.importorskip('playwright.sync_api', reason='not installed by `make app`')
    run = make_run(tmp_path / 'run', 'simmim')
    dropped = tmp_path / 'dropped.png'
    Image.fromarray(np.ascontiguousarray(PHOTO[:, ::-1])).save(dropped)
    for number in range(20):
        write(tmp_path / 'labels' / ('cat', 'dog')[number % 2] / f'{number}.png', number)
    symmim_mm.finetune(
        tmp_path / 'labels', backbone=run / 'epoch_1.pth', epochs=1, workers=0,
        out=tmp_path / 'finetune', report=lambda _: None,
    )  # fmt: skip
    command = [sys.executable, '-W', 'ignore', '-m', 'symmim_mm.cli', 'app', run]
    command += ['--index', run / 'images', '--predict', tmp_path / 'finetune']
    environ = {**os.environ, 'PYTHONUNBUFFERED': '1'}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as server:
        try:
            lines = iter(server.stdout.readline, '')
            address = next(found[0] for line in lines if (found := re.search(r'http://\S+', line)))
            with api.sync_playwright() as play:
                options = dict(executable_path=BROWSER, args=['--no-sandbox'])
                browser = play.chromium.launch(**options)
                look(browser.new_page(viewport=dict(width=1300, height=1000)), address, dropped)
                browser.close()
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(60) in (0, 130)


def look(page: object, address: str, dropped: Path) -> None:
    """Use every tab."""
    hosts, errors = set(), []
    page.on('request', lambda request: hosts.add(request.url.split('/')[2]))
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.set_default_timeout(30_000)
    page.goto(address)
    page.locator('#image input[type=file]').set_input_files(dropped)
    figures = page.locator('#figures')
    figures.get_by_text('12 of 16 patches masked').wait_for()
    page.get_by_label('checkerboard', exact=True).check()
    figures.get_by_text('8 of 16 patches masked').wait_for()
    page.get_by_label('by hand').check()
    figures.get_by_text('0 of 16 patches masked').wait_for()
    canvas = page.locator('#paint canvas').first
    canvas.wait_for()
    page.wait_for_timeout(1500)  # until the image is drawn into it
    box = canvas.bounding_box()
    x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
    page.mouse.move(x - 40, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=10)
    page.mouse.up()
    figures.get_by_text(re.compile(r'^[1-9]\d* of 16 patches masked')).wait_for()
    page.get_by_role('tab', name='Similarity').click()
    shown = page.locator('#similarity img')
    before = shown.get_attribute('src')
    page.locator('#similar-to img').click(position=dict(x=20, y=20))
    page.wait_for_function(
        'old => document.querySelector("#similarity img").src !== old', arg=before
    )
    page.get_by_role('tab', name='Attention').click()
    page.get_by_text('No loss trains the class token').wait_for()
    page.get_by_role('tab', name='Neighbors').click()
    page.get_by_role('button', name='Embed').click()
    page.locator('#nearest img').nth(7).wait_for()
    page.get_by_role('tab', name='Prediction').click()
    page.locator('#facts').get_by_text('cat').first.wait_for()
    assert errors == [] and {host for host in hosts if host} == {address.split('/')[2]}
