#!/usr/bin/env python3
"""Draw masks, reconstructions, attention, detections or segmentations as PNG files."""

from _start import start

if __name__ == '__main__':
    start('visualize')
