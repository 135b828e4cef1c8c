#!/usr/bin/env python3
"""Train one config: a pre-training, or a transfer in any of the three libraries."""

from _start import start

if __name__ == '__main__':
    start('train')
