#!/usr/bin/env python3
"""Fit a linear classifier on frozen features."""

from _start import start

if __name__ == '__main__':
    start('linear')
