"""Names of what ``tools/benchmark.py step`` measures."""

SIZES = dict(s='ViT-S', b='ViT-B', l='ViT-L', quickstart='quickstart')

METHODS = {
    'mae': 'MAE',
    'mae-stock': 'MAE, stock MMPretrain',
    'simmim': 'SimMIM',
    'symmim': 'SymMIM dense',
    'symmim-sparse': 'SymMIM sparse',
    'symmim-stock': 'SymMIM of stock parts',
    'symmim-checkpointed': 'SymMIM dense, checkpointed',
    'symmim-sparse-checkpointed': 'SymMIM sparse, checkpointed',
}

STOCK = {'mae-stock': 'mae', 'symmim-stock': 'symmim'}
"""Cases of MMPretrain's parts, and what they do the work of."""

CHECKPOINTED = {
    'symmim-checkpointed': 'symmim',
    'symmim-sparse-checkpointed': 'symmim-sparse',
}
"""Cases with activation checkpointing, and those without it whose model they share."""

YARDSTICK = 'simmim'
"""Whose step the others' are compared with."""
