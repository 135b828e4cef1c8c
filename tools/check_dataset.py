#!/usr/bin/env python3
"""Check a dataset before training on it: layout, counts, classes, annotations, every image."""

from _start import start

if __name__ == '__main__':
    start('check')
