"""What configs can name of this package. Importing this registers it all."""

from symmim_mm.data.load_random_crop import LoadRandomResizedCrop

__all__ = ['LoadRandomResizedCrop']
