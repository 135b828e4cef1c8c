#!/usr/bin/env python3
"""Write the backbone of a checkpoint for timm, HuggingFace's transformers or ONNX."""

from _start import start

if __name__ == '__main__':
    start('export')
