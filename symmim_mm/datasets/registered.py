"""What configs can name of this package. Importing this registers it all."""

from symmim_mm.datasets.image_folder import IndexedFolder
from symmim_mm.datasets.samplers.shard_sampler import ShardSampler
from symmim_mm.datasets.transforms.load_image import LoadPicture
from symmim_mm.datasets.transforms.load_label_map import LoadClassMap
from symmim_mm.datasets.transforms.load_random_resized_crop import LoadRandomResizedCrop

__all__ = ['IndexedFolder', 'LoadClassMap', 'LoadPicture', 'LoadRandomResizedCrop', 'ShardSampler']
