#!/usr/bin/env python3
"""Classify frozen features by their nearest neighbors (weighted k-NN)."""

from _start import start

if __name__ == '__main__':
    start('knn')
