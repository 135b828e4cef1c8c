"""SymMIM, MAE and SimMIM pre-training and their transfers on MMEngine."""

from symmim_mm.compat import install

__version__ = '0.1.0'

install()
