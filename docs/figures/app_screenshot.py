#!/usr/bin/env python3
"""Take the screenshot in docs/app.md of a `symmim app` that runs: app_screenshot.py ADDRESS."""

import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).with_name('app.png')
with sync_playwright() as play:
    browser = play.chromium.launch(executable_path='/usr/bin/chromium', args=['--no-sandbox'])
    page = browser.new_page(viewport=dict(width=1280, height=760), color_scheme='light')
    page.goto(sys.argv[1])
    page.locator('#held-out .thumbnail-item').nth(2).click()
    page.locator('#figures').get_by_text('patches masked').wait_for()
    page.wait_for_timeout(1500)
    page.screenshot(path=OUT)
Image.open(OUT).convert('P', palette=Image.Palette.ADAPTIVE, colors=128).save(OUT, optimize=True)
