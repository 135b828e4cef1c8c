"""Checks of data sets before a run: what would stop a training or spoil it, file by file.

``kinds``      every kind of finding, its level and what training does with such data
``report``     the findings of one check, printed and as JSON
``header``     what a picture's header says
``inspect``    one picture, or one picture with its class map: decoded as training decodes it
``workers``    many of them in several processes
``journal``    what an earlier, perhaps interrupted check already found
``listing``    the files of a folder, as MMPretrain lists them
``folders``    ImageNet folders, and any folder of pictures
``coco*``      COCO instances
``ade20k``     pictures with class maps
``run``        a whole check, as ``tools/check_dataset.py`` runs it
"""
