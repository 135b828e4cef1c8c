"""What a pre-trained model makes of an image: the computing behind `symmim app`."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.registry import DATASETS
from torch import Tensor
from torch.nn.functional import normalize

from symmim_mm.apis.embed import BATCH, MOST_IMAGES, encode, preprocessor_of, spread
from symmim_mm.apis.own_data.folder_config import center_pipeline
from symmim_mm.apis.predict import Prediction, find_run, list_images, load
from symmim_mm.apis.test import build_trained
from symmim_mm.apis.visualize import fit_center, read_center, trains_class_token
from symmim_mm.checkpoint.encoder import read_encoder
from symmim_mm.config.file import read_config_file
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.evaluation.attention import class_attention, patch_similarity
from symmim_mm.models import masks
from symmim_mm.models.base import MaskedImageModel
from symmim_mm.utils.errors import UserError
from symmim_mm.visualization import images as vis

HELD_OUT = 16  # images to choose from
AS_TRAINED, CHECKERBOARD, RANDOM, BY_HAND = 'as trained', 'checkerboard', 'random', 'by hand'
PAINTED = 0.25  # share of a patch's pixels that is painted where it is to be masked


class Explorer:
    """A pre-trained model; images are RGB uint8 ``(H, W, 3)`` of any size, masks bool ``(h, w)``.

    Args:
        run: folder of a pre-training, or a checkpoint in it. Its config is run.
        index: folder of the images among which neighbors are looked for; by default the images
            that the run was trained on.
        predict: folder of a fine-tuning, detection or segmentation, or a checkpoint in it.

    Raises:
        UserError: no such run, or another task.
    """

    def __init__(
        self,
        run: str | Path,
        *,
        index: str | Path | None = None,
        predict: str | Path | None = None,
    ) -> None:
        checkpoint, config = find_run(run)
        self.cfg = read_config_file(config)
        task = (self.cfg.get('run') or {}).get('task')
        if task != 'pretrain':
            raise UserError(
                f'{config} is of the task {task}: name a pre-training, and this run by --predict'
            )
        self.name = checkpoint.parent.resolve().name
        self.model = build_trained(self.cfg, config, checkpoint)
        self.reconstructs = self.model.with_head
        self.attends = trains_class_token(self.model)
        encoder = read_encoder(checkpoint)
        if encoder.channels != 3:
            raise UserError(
                f'{encoder.source} reads {encoder.channels} channels; the app shows and takes '
                'images of 3: take `symmim embed`, or the page of the run'
            )
        self.encoder = encoder.build()
        self.patch, self.size = encoder.patch, (encoder.image, encoder.image)
        self.grid = (encoder.image // encoder.patch,) * 2
        self.preprocessor = preprocessor_of(encoder)
        self.folder = index
        self.index: tuple[list[np.ndarray], Tensor] | None = None
        self.held_out = self._held_out()
        self.predictor = load(predict, 'cpu') if predict else None  # changes the default scope

    def fit(self, image: np.ndarray) -> Tensor:
        """Return an image as the model sees it, BGR uint8 ``(1, 3, *size)``."""
        return fit_center(np.ascontiguousarray(image[..., ::-1]), self.size)

    def shown(self, image: np.ndarray) -> np.ndarray:
        """Return an image as the model sees it, enlarged to be looked at."""
        return vis.enlarge(vis.to_rgb(self.fit(image)[0]))

    def draw_mask(self, kind: str, *, block: int = 1, ratio: float = 0.75, seed: int = 0) -> Tensor:
        """Draw a mask.

        Args:
            kind: ``AS_TRAINED``, ``CHECKERBOARD`` of ``block`` (odd seeds invert it), or
                ``RANDOM`` of ``ratio``.
            block: side of a square in patches.
            ratio: share of masked patches.
            seed: of what is random.

        Raises:
            UserError: a mask that the grid does not allow.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if kind == AS_TRAINED and isinstance(self.model, MaskedImageModel):
                return self.model.draw_reconstruction_mask(1, torch.device('cpu'))[0][0]
            if kind == AS_TRAINED:
                ratio = self.model.backbone.mask_ratio
            try:
                if kind == CHECKERBOARD:
                    return masks.checkerboard(self.grid, block) ^ bool(seed % 2)
                return masks.random_mask(self.grid, ratio, 1)[0]
            except ValueError as error:
                raise UserError(str(error)) from error

    def painted_mask(self, paint: np.ndarray) -> Tensor:
        """Return the patches of which ``PAINTED`` is painted; paint is ``(H, W)``, 0 where not."""
        share = (paint != 0).astype(np.float32)
        height, width = (side // count for side, count in zip(share.shape, self.grid, strict=True))
        share = share[: height * self.grid[0], : width * self.grid[1]]
        share = share.reshape(self.grid[0], height, self.grid[1], width).mean(axis=(1, 3))
        return torch.from_numpy(share >= PAINTED)

    def reconstruct(self, image: np.ndarray, mask: Tensor) -> tuple[list[np.ndarray], float]:
        """Reconstruct the masked patches of an image.

        Returns:
            Original, masked input, reconstruction and error, enlarged; and the mean error of the
            masked pixels, of 255.

        Raises:
            UserError: the run has no pixel head.
        """
        panels = vis.reconstruction_panels(self.model, self.fit(image), mask[None])[0]
        original, _, filled = panels
        error = np.abs(original.astype(np.float32) - filled).mean(axis=2)
        share = float(mask.float().mean())
        drawn = [vis.enlarge(panel) for panel in panels]
        mean = float(error.mean()) / share if share else 0.0
        return [*drawn, vis.heat_map(error, drawn[0].shape[:2])], mean

    def similarity(self, image: np.ndarray, x: float, y: float) -> np.ndarray:
        """Draw the similarity of all patches to the one at ``x, y``, shares of width and height."""
        column, row = (min(int(at * self.grid[0]), self.grid[0] - 1) for at in (x, y))
        found = patch_similarity(self.encoder, self._normalize(image), [(row, column)])
        return self._draw_map(found[0, 0])

    def attention(self, image: np.ndarray) -> list[np.ndarray]:
        """Draw the attention of the class token, of each head of the last block."""
        return [
            self._draw_map(head)
            for head in class_attention(self.encoder, self._normalize(image))[0]
        ]

    def build_index(self, report: Callable[[float], None] = lambda share: None) -> int:
        """Embed the images of the index, ``MOST_IMAGES`` at most, and return their number.

        Raises:
            UserError: none can be read.
        """
        images = list(self._indexed())
        if not images:
            raise UserError('no image of the index can be read')
        features = []
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            features.append(encode(self.encoder, self.preprocessor, batch))
            report((start + len(batch)) / len(images))
        self.index = list(map(vis.to_rgb, images)), normalize(torch.cat(features), dim=1)
        return len(images)

    def neighbors(self, image: np.ndarray, count: int = 12) -> list[tuple[np.ndarray, float]]:
        """Return the nearest images of the index and their cosines, after :meth:`build_index`."""
        assert self.index is not None
        images, features = self.index
        query = normalize(encode(self.encoder, self.preprocessor, [self.fit(image)[0]]), dim=1)
        cosines, order = (features @ query[0]).sort(descending=True)
        best = zip(order[:count].tolist(), cosines.tolist(), strict=False)
        return [(vis.enlarge(images[number]), cosine) for number, cosine in best]

    def predict(self, image: np.ndarray) -> Prediction:
        """Predict an image with the run named ``predict``."""
        assert self.predictor is not None
        return self.predictor.predict(image)[0]

    def _held_out(self) -> list[np.ndarray]:
        """Return images that the run held out; none where it held out none, or they are gone."""
        settings = (self.cfg.default_hooks.get('images') or {}).get('dataset')
        try:
            dataset = DATASETS.build(settings) if settings else []
        except (UserError, FileNotFoundError):
            return []
        images = []
        for index in spread(len(dataset), HELD_OUT):
            with suppress(ImageError, FileNotFoundError):
                images.append(vis.to_rgb(dataset[index]['inputs']))
        return images

    def _indexed(self) -> Iterator[Tensor]:
        """Yield the images of the index that can be read, BGR uint8 ``(3, H, W)``."""
        pipeline = center_pipeline(self.size[0])
        images: Any = (
            DATASETS.build(dict(self.cfg.train_dataloader.dataset, pipeline=pipeline))
            if self.folder is None
            else list_images(self.folder)
        )
        for index in spread(len(images), MOST_IMAGES):
            try:
                found = images[index]
                yield read_center(found, self.size)[0] if self.folder else found['inputs']
            except ImageError:  # was skipped in training, too
                continue

    def _normalize(self, image: np.ndarray) -> Tensor:
        return self.preprocessor(dict(inputs=self.fit(image)), training=False)['inputs']

    def _draw_map(self, values: Tensor) -> np.ndarray:
        side = self.size[0] * max(1, round(224 / self.size[0]))
        return vis.heat_map(values.clamp(min=0).numpy(), (side, side))
