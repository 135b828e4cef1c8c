"""A finished run in use: classes, boxes and masks, or label maps of any images."""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.registry import DefaultScope

from symmim_mm.apis.prediction import Classes, LabelMap, Objects, Prediction
from symmim_mm.apis.test import build_trained
from symmim_mm.checkpoint.read import checkpoint_files, read_checkpoint
from symmim_mm.config import LABEL_MAPS, PREDICTING
from symmim_mm.config.file import read_config_file
from symmim_mm.config.image_size import image_channels
from symmim_mm.datasets.survey import survey
from symmim_mm.datasets.transforms.decode_region import open_image
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic
from symmim_mm.utils.paths import checkpoint_problem
from symmim_mm.visualization import images as vis


def find_checkpoint(run: str | Path) -> Path:
    """Return the newest checkpoint in the folder of a run, or the checkpoint that is named.

    Raises:
        UserError: there is none.
    """
    files = checkpoint_files(run) if Path(run).is_dir() else [Path(run)]
    if not files:
        raise UserError(f'{run}: no checkpoint there: name the folder of a run, or a checkpoint')
    if problem := checkpoint_problem(files[-1]):
        raise UserError(f'checkpoint {problem}')
    return files[-1]


def find_run(run: str | Path) -> tuple[Path, Path]:
    """Return the checkpoint and the config of a run, or of a checkpoint in its folder.

    Raises:
        UserError: there is none, or more than one config.
    """
    checkpoint = find_checkpoint(run)
    configs = sorted(checkpoint.parent.glob('*.py'))
    if len(configs) != 1:
        raise UserError(
            f'{checkpoint.parent} has {len(configs)} configs, and one must tell what '
            f'{checkpoint.name} is: keep a checkpoint in the folder of its run'
        )
    return checkpoint, configs[0]


class Predictor:
    """A model of a finished fine-tuning, detection or segmentation; made by :func:`load`."""

    def __init__(self, run: str | Path, device: str | None = None) -> None:
        warnings.filterwarnings('ignore', module='mmseg|mmdet')  # advice on losses
        self.checkpoint, config = find_run(run)
        self.cfg = read_config_file(config)
        self.task = (self.cfg.get('run') or {}).get('task')
        if self.task not in PREDICTING:
            raise UserError(
                f'{config} is of the task {self.task}, which predicts nothing: `symmim embed` '
                'gives the features of a pre-training'
            )
        model = build_trained(self.cfg, config, self.checkpoint)
        meta = read_checkpoint(self.checkpoint).get('meta') or {}
        names = (meta.get('dataset_meta') or {}).get('classes') or ()
        self.classes = tuple(map(str, names))
        if not self.classes:
            raise UserError(f'checkpoint {self.checkpoint} does not name its classes')
        self.channels = image_channels(self.cfg.model.get('backbone') or {})
        model.cfg = model._config = self.cfg  # where the libraries' functions look for it
        self.model = model.to(device or get_device())
        self._infer = self._inference()

    def _inference(self) -> Callable[[np.ndarray], Any]:
        """Return the library's own function for one image, BGR uint8 or of other channels."""
        if self.task == 'detection':
            from mmdet.apis import inference_detector

            return lambda image: inference_detector(self.model, image).pred_instances
        if self.task in LABEL_MAPS:
            from mmseg.apis import inference_model

            return lambda image: inference_model(self.model, image).pred_sem_seg
        from mmpretrain import ImageClassificationInferencer

        classify = ImageClassificationInferencer(self.model)
        return lambda image: classify(image, return_datasamples=True)[0].pred_score

    @torch.no_grad()
    def predict(
        self, images: str | Path | np.ndarray | Sequence[str | Path | np.ndarray]
    ) -> list[Prediction]:
        """Predict images, given as paths or as RGB uint8 ``(H, W, 3)``; a folder is all in it.

        A run on images of N other channels takes ``(H, W, N)`` in [0, 255], uint8 or float32, in
        the order of the files.

        Returns:
            One :class:`Classes`, :class:`Objects` or :class:`LabelMap` for each image.

        Raises:
            UserError: an image that cannot be read, or of other channels.
        """
        given = [images] if isinstance(images, str | Path | np.ndarray) else images
        found: list[Prediction] = []
        for entry in given:
            if isinstance(entry, np.ndarray):
                found.append(self._predict(entry))
                continue
            for path in list_images(entry):  # one at a time: a folder may not fit into memory
                found.append(self._predict(read_image(path, self.channels)))
        return found

    def _predict(self, image: np.ndarray) -> Prediction:
        if image.ndim != 3 or image.shape[2] != self.channels:
            raise UserError(
                f'an image of the shape {image.shape}: {self.checkpoint} reads (height, width, '
                f'{self.channels})'
            )
        pixels = image[..., ::-1] if self.channels == 3 else image
        # The libraries look for steps of the pipeline in the scope of the run that was loaded last.
        with DefaultScope.overwrite_default_scope(self.cfg.get('default_scope', 'mmpretrain')):
            found: Any = self._infer(np.ascontiguousarray(pixels))
        if self.task == 'detection':
            found = found.cpu().numpy()
            order = np.argsort(-found.scores, kind='stable')
            masks = found.masks[order].astype(bool) if 'masks' in found else None
            return Objects(
                self.classes, found.labels[order], found.scores[order], found.bboxes[order], masks
            )
        if self.task in LABEL_MAPS:
            return LabelMap(self.classes, found.data[0].cpu().numpy().astype(np.int64))
        scores, order = found.float().cpu().sort(descending=True)
        return Classes(tuple(self.classes[i] for i in order.tolist()), scores.numpy())


def load(run: str | Path, device: str | None = None) -> Predictor:
    """Load the model of a finished run, to predict with.

    The config next to the checkpoint is run, as every config is: only load runs that you trust.

    Args:
        run: its folder, or a checkpoint in it.
        device: a GPU if there is one by default.

    Raises:
        UserError: no such run, a pre-training, or weights that do not fit.
    """
    return Predictor(run, device)


def list_images(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return files as they are, and the images below folders; one path or several.

    Raises:
        UserError: no path, one that does not exist, or a folder without images.
    """
    found: list[Path] = []
    for path in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        found += (
            [path / name for name in survey(path, sample=0).images] if path.is_dir() else [path]
        )
    if absent := [path for path in found if not path.is_file()]:
        raise UserError(f'{absent[0]}: no such image')
    if not found:
        raise UserError('no image is named: give files or folders')
    return found


def read_image(path: str | Path, channels: int = 3) -> np.ndarray:
    """Read an image, RGB uint8 ``(H, W, 3)``, or float32 ``(H, W, C)`` of other channels.

    Raises:
        UserError: it cannot be read, or has other channels.
    """
    image = open_image(path, channels=channels)
    if image.pixels is None:
        image.decode_whole()
    pixels = np.asarray(image.pixels)
    return np.ascontiguousarray(pixels[..., ::-1] if channels == 3 else pixels)


def predict(
    run: str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    out: str | Path = 'predictions',
    report: Callable[[str], None] = print,
) -> Path:
    """Predict images; write ``predictions.json`` and a drawing of each.

    The JSON has ``task``, ``checkpoint``, ``classes`` and ``images``: for each its ``path``,
    ``width``, ``height``, ``drawing`` and one of ``classes`` (name, score; the five best),
    ``objects`` (name, score, box ``[x1, y1, x2, y2]`` in pixels, mask as COCO's run lengths), or
    ``label_map`` (a PNG, the value is the index of the class) with ``shares`` by name.

    Args:
        run: folder of a finished run, or a checkpoint in it.
        images: files and folders.
        out: folder to write into.
        report: gets lines on what was done.

    Returns:
        The JSON file.

    Raises:
        UserError: as :func:`load`, and for an image that cannot be read.
    """
    paths = list_images(images)
    model, folder = load(run), Path(out)
    entries = []
    for number, path in enumerate(paths):
        image = read_image(path, model.channels)
        (prediction,) = model.predict(image)
        name = f'{number:04d}_{path.stem}'
        vis.save(folder / f'{name}.png', prediction.draw(vis.shown(image)))
        entry: dict[str, Any] = dict(path=str(path), width=image.shape[1], height=image.shape[0])
        entry |= dict(drawing=f'{name}.png', **prediction.to_json())
        if isinstance(prediction, LabelMap):
            entry['label_map'] = f'{name}_labels.png'
            vis.save(folder / entry['label_map'], prediction.labels.astype(np.uint8))
        entries.append(entry)
    content = dict(
        task=model.task, checkpoint=str(model.checkpoint), classes=model.classes, images=entries
    )
    write_atomic(folder / 'predictions.json', json.dumps(content, indent=1) + '\n')
    report(f'{len(entries)} images: {folder / "predictions.json"}, and drawings next to it')
    return folder / 'predictions.json'
