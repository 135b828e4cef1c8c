"""The config of a pre-training on a folder of images, as one would write it by hand."""

from pathlib import Path

from symmim_mm.apis.own_data.backbone import (
    SMALL_DECODER,
    backbone_settings,
    decoder_sizes,
    load_settings,
)
from symmim_mm.apis.own_data.plan import config_text
from symmim_mm.checkpoint.encoder import Encoder
from symmim_mm.datasets.survey import FolderSurvey
from symmim_mm.planning.folder_plan import FolderRecipe, choose_batch


def pretrain_text(
    found: FolderSurvey,
    method: str,
    model: Encoder,
    recipe: FolderRecipe | None,
    plan: Path,
    init: str | Path | None,
    workers: int,
) -> str:
    """Return the config of a run, as one would write it by hand.

    ``recipe`` is None for the run whose steps are timed, ``plan`` is where ``train.txt`` and
    ``held_out.txt`` lie, ``init`` the checkpoint that the run starts from.
    """
    batch = recipe.batch if recipe else choose_batch(len(found.images))
    crop = recipe.crop if recipe else 0.4
    settings: dict = dict(
        backbone=backbone_settings(model) | dict(drop_path_rate=0.0),
        data_preprocessor=dict(mean=list(found.mean), std=list(found.std)),
    )
    # Another method's decoder does not predict what this one's does.
    width, depth, heads = decoder_sizes(init) if init and method == 'mae' else SMALL_DECODER
    if method == 'mae':
        settings['neck'] = dict(
            decoder_embed_dim=width, decoder_depth=depth, decoder_num_heads=heads,
        )  # fmt: skip
    if method == 'symmim':
        settings['head'] = dict(decoder=dict(depth=depth, embed_dims=width, num_heads=heads))
        settings['contrast'] = dict(hidden_dims=512, out_dims=64)
        settings['momentum'] = dict(start=recipe.momentum if recipe else 0.99)

    def dataset(name: str) -> dict:
        return dict(data_root=str(found.root), data_prefix='', ann_file=str(plan.resolve() / name))

    crops = [
        dict(type='symmim_mm.LoadRandomResizedCrop', scale=model.image,
             crop_ratio_range=(crop, 1.0), flip_prob=0.5, **load_settings(model.channels)),
        dict(type='mmpretrain.PackInputs'),
    ]  # fmt: skip
    held_out = dict(
        type='symmim_mm.ImageFolder',
        with_label=False,
        pipeline=center_pipeline(model.image, model.channels),
        **dataset('held_out.txt'),
    )
    parts = dict(
        run=dict(dataset=found.root.name),
        custom_hooks=[dict(type='symmim_mm.ProgressHook'), dict(type='symmim_mm.PageHook')],
        model=settings,
        train_dataloader=dict(
            num_workers=workers, persistent_workers=workers > 0,
            dataset=dict(pipeline=crops, **dataset('train.txt')),
        ),
        recipe=dict(
            _delete_=True,
            epochs=recipe.epochs if recipe else 1,
            batch=batch,
            lr=recipe.lr if recipe else 1e-4,
            lr_batch=batch,
            warmup_epochs=recipe.warmup_epochs if recipe else 0,
            min_lr=1e-5,
        ),
        optim_wrapper=dict(optimizer=dict(betas=(0.9, 0.95))),
        default_hooks=dict(
            checkpoint=dict(interval=max(1, recipe.epochs // 10) if recipe else 1),
            logger=dict(interval=10),
            health=dict(dataset=held_out),
            images=dict(
                type='symmim_mm.ImagesHook', kind='reconstruction', dataset=held_out,
                while_training=True,
            ),
        ),
    )  # fmt: skip
    title = f'{method} on {found.root}: {len(found.images)} images'
    return config_text(title, f'{method}/vit_b_pretrain.py', parts, plan / 'pretrain.py', init)


def center_pipeline(side: int, channels: int = 3) -> list[dict]:
    """Return the steps that load an image and take its center, ``side`` pixels wide and high."""
    if channels != 3:
        return [
            dict(type='symmim_mm.LoadCenterCrop', edge=side, crop=side, channels=channels),
            dict(type='mmpretrain.PackInputs'),
        ]
    return [
        dict(type='symmim_mm.LoadImageStrict'),
        dict(type='mmpretrain.ResizeEdge', scale=side, edge='short'),
        dict(type='mmpretrain.CenterCrop', crop_size=side),
        dict(type='mmpretrain.PackInputs'),
    ]
