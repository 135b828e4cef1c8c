#!/usr/bin/env python3
"""Make all runs of a suite that are not finished, in order, then the table and the page."""

from _start import start

if __name__ == '__main__':
    start('suite')
