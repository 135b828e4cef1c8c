"""Checks of datasets before a run: what would stop a training or spoil it, file by file.

``kinds``      every kind of finding, its level and what training does with such data
``report``     the findings of one check, printed and as JSON
``header``     what an image's header says
``image``      one image or label map, decoded as training decodes it
``workers``    many images and label maps in several processes
``journal``    what an earlier, perhaps interrupted check already found
``layout``     what a layout hands on to be checked
``folders``    ImageNet folders, and any folder of images, as MMPretrain lists them
``coco``       COCO instances
``ade20k``     images with label maps
``check``      a whole check, as ``tools/check_dataset.py`` runs it
"""
