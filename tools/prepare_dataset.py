#!/usr/bin/env python3
"""Resize a folder of images once, into shards that are read in sequence."""

from _start import start

if __name__ == '__main__':
    start('prepare')
