#!/usr/bin/env python3
"""Evaluate the checkpoint of a finished run with the test set and metrics of its config."""

from _start import start

if __name__ == '__main__':
    start('test')
