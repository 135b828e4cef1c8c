"""Export of a checkpoint with a card of the run that made it."""

from pathlib import Path

from symmim_mm.checkpoint.export import export_backbone
from symmim_mm.results.record import Record, parent_of
from symmim_mm.utils.text import visible


def export(
    checkpoint: str | Path,
    format_name: str,
    out: str | Path,
    heads: int | None = None,
    branch: str = 'online',
    raw_images: bool = False,
) -> str:
    """Write a backbone in the format of another library; see :func:`export_backbone`.

    A folder gets a model card (``README.md``): recipe, data and numbers from the record of the
    run, if the checkpoint lies next to it.
    """
    record = parent_of(checkpoint)
    card = model_card(record, format_name) if record else ''
    return export_backbone(checkpoint, format_name, out, heads, branch, raw_images, card)


def model_card(record: Record, format_name: str) -> str:
    """Return a model card in Markdown; a number that the record does not have is left out."""
    library = 'timm' if format_name == 'timm' else 'transformers'
    facts: dict[str, object] = dict(
        method=record.method,
        model=record.arch,
        task=record.task,
        config=record.config,
        seed=record.seed,
    )
    if record.batch:
        batch = record.batch
        facts['batch'] = batch.micro_batch * batch.processes * batch.accumulation
    facts['images seen'] = record.images
    facts['started from'] = record.parent or record.backbone
    facts['training data'] = record.dataset
    if record.data:
        train = record.data.train
        facts |= {'training images': train.images, 'classes': train.classes}
        facts['fingerprint of their list'] = train.fingerprint
    facts |= {name: f'{value:g}' for name, value in record.metrics.items()}
    facts['hours'] = f'{record.duration_s / 3600:.3g}'
    facts['device'] = record.hardware.gpu or record.hardware.cpu
    facts |= {f'version of {name}': value for name, value in record.versions.items()}
    rows = '\n'.join(
        f'| {visible(name)} | {visible(str(value)).replace("|", "/")} |'
        for name, value in facts.items()
        if value is not None
    )
    return (
        f'---\nlibrary_name: {library}\ntags: [vision, masked-image-modeling]\n---\n\n'
        f'# {visible(record.run)}\n\nTrained by SymMIM-MM. From the record of the run:\n\n'
        f'| | |\n|---|---|\n{rows}\n\n'
        'Images are RGB, or have the channels of the training in their order; '
        '`preprocessor_config.json` (RGB alone), or `pretrained_cfg` of timm, has the mean and '
        'standard deviation of the training.\nNot evaluated on anything that is not named above. '
        'The license of the weights follows from that of the training data.\n'
    )
