#!/usr/bin/env python3
"""Make the comparison table (CSV, Markdown) and the report page from finished runs."""

from _start import start

if __name__ == '__main__':
    start('collect')
