#!/usr/bin/env python3
"""Measure speed against a named peer in the same run, and write the result as JSON."""

from _start import start

if __name__ == '__main__':
    start('benchmark')
