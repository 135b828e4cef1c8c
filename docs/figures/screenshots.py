#!/usr/bin/env python3
"""Take screenshots of pages with Chromium: screenshots.py OUT NAME=ADDRESS[,narrow][,dark] ...

The page that `symmim app` serves is used first: an image of the run is chosen.
"""

import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

SIZES = {False: (1240, 900), True: (390, 900)}  # by narrow


def use(page: Page) -> None:
    """Choose an image, where the page is the app's."""
    if page.locator('#held-out').count():
        page.locator('#held-out .thumbnail-item').nth(2).click()
        page.locator('#figures').get_by_text('patches masked').wait_for()
        page.wait_for_timeout(1500)


def main(out: Path, *shots: str) -> None:
    """Write a PNG of 128 colors for each."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path='/usr/bin/chromium', args=['--no-sandbox'])
        for shot in shots:
            name, _, rest = shot.partition('=')
            address, *options = rest.split(',')
            width, height = SIZES['narrow' in options]
            page = browser.new_page(
                viewport=dict(width=width, height=height),
                color_scheme='dark' if 'dark' in options else 'light',
            )
            page.goto(address)
            page.wait_for_timeout(1500)
            use(page)
            file = out / f'{name}.png'
            page.screenshot(path=file)
            page.close()
            image = Image.open(file).convert('RGB')
            image.convert('P', palette=Image.Palette.ADAPTIVE, colors=128).save(file, optimize=True)
            print(f'{file}: {file.stat().st_size // 1024} KiB')


if __name__ == '__main__':
    main(Path(sys.argv[1]), *sys.argv[2:])
