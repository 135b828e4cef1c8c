"""What configs can name of this package. Importing this registers it all."""

from symmim_mm.data.indexed_folder import IndexedFolder
from symmim_mm.data.load_class_map import LoadClassMap
from symmim_mm.data.load_picture import LoadPicture
from symmim_mm.data.load_random_crop import LoadRandomResizedCrop
from symmim_mm.data.shard_sampler import ShardSampler

__all__ = ['IndexedFolder', 'LoadClassMap', 'LoadPicture', 'LoadRandomResizedCrop', 'ShardSampler']
