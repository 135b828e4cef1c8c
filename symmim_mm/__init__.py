"""SymMIM, MAE and SimMIM pre-training and their transfers on MMEngine."""

__version__ = '0.1.0'
