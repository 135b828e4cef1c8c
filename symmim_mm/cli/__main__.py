"""``python -m symmim_mm.cli`` is the console command ``symmim``."""

from symmim_mm.cli import main

if __name__ == '__main__':
    main()
