#!/usr/bin/env python3
"""Draw the sample data: images of shapes for classification, detection and segmentation."""

from _start import start

if __name__ == '__main__':
    start('sample-data')
