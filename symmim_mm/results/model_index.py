"""``model-index.yml`` and ``metafile.yml`` from records, as OpenMMLab's model zoos have them.

Layout after ``model-index.yml`` and ``configs/*/metafile.yml`` of MMPretrain, read by its
``ModelHub`` and by MMEngine's inferencers.
"""

from collections.abc import Sequence
from pathlib import Path

import yaml

from symmim_mm.results.record import Record
from symmim_mm.results.runs import RecordedRun, dataset_name, method_name
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic

INDEX, METAFILE = 'model-index.yml', 'metafile.yml'
PAPERS = {
    'symmim': 'https://arxiv.org/abs/2408.12772',
    'mae': 'https://arxiv.org/abs/2111.06377',
    'simmim': 'https://arxiv.org/abs/2111.09886',
}
TASK_NAMES = {
    'detection': 'Object Detection',
    'segmentation': 'Semantic Segmentation',
    'linear_segmentation': 'Semantic Segmentation',
}
METRIC_NAMES = {
    'top1': 'Top 1 Accuracy',
    'box_ap': 'box AP',
    'mask_ap': 'mask AP',
    'miou': 'mIoU',
}


def write_model_index(runs: Sequence[RecordedRun], out: Path, prefix: str = '') -> Path:
    """Write both files into ``out`` and return the path of the index.

    A model is a run that kept a checkpoint. What was measured on its frozen features (linear
    probe, k-NN) stands among its own results. MMPretrain resolves ``Config`` from the directory of
    the index: a path in this repository is kept as the record has it.

    Args:
        runs: records and their directories.
        out: directory of the files.
        prefix: of every ``Weights``, e.g. the address that the checkpoints will have; without one
            the paths of the checkpoints.

    Raises:
        UserError: two runs with checkpoints have the same name.
    """
    trained = [run for run in runs if run.record.checkpoint]
    names = [run.record.run for run in trained]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f'{", ".join(doubled)}: two runs of that name, and names of models must differ: '
            'collect the directories one by one'
        )
    records = [run.record for run in runs]
    methods = sorted({run.record.method for run in trained})
    content = dict(
        Collections=[
            dict(Name=method_name(method), Metadata=dict(Architecture=['ViT']))
            | (dict(Paper=dict(URL=PAPERS[method])) if method in PAPERS else {})
            for method in methods
        ],
        Models=[_model(run, records, prefix) for run in trained],
    )
    write_atomic(out / METAFILE, _dump(content))
    write_atomic(out / INDEX, _dump(dict(Import=[METAFILE])))
    return out / INDEX


def _dump(content: dict) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _model(run: RecordedRun, records: Sequence[Record], prefix: str) -> dict:
    record = run.record
    saved = record.checkpoint_sha256
    after = [other for other in records if saved and other.backbone_sha256 == saved]
    frozen = [other for other in after if not other.checkpoint]
    machine = record.hardware
    metadata = {
        'Architecture': [record.arch],
        'Training Data': dataset_name(record),
        # One GPU for each process, however many the machine has.
        'Training Resources': f'{machine.world_size or 1} x {machine.gpu or machine.cpu}',
        'Images Seen': record.images,
        'Seed': record.seed,
    }
    if record.batch is not None:
        batch = record.batch
        metadata['Batch Size'] = batch.micro_batch * batch.processes * batch.accumulation
    if record.flops_per_image:
        metadata['Training FLOPs per Image'] = record.flops_per_image
    metadata['Weights SHA-256'] = record.checkpoint_sha256
    name = run.folder.absolute().name
    place = f'{prefix.rstrip("/")}/{name}' if prefix else str(run.folder)
    return {
        'Name': record.run,
        'Metadata': metadata,
        'In Collection': method_name(record.method),
        'Results': list(filter(None, map(_results, (record, *frozen)))) or None,
        'Weights': f'{place}/{record.checkpoint}',
        'Config': record.config,
        'Downstream': [other.run for other in after if other.checkpoint] or None,
    }


def _results(record: Record) -> dict | None:
    """Return the metrics of a run by the zoos' names, None without any."""
    named = {
        title: round(record.metrics[name], 2)
        for name, title in METRIC_NAMES.items()
        if name in record.metrics
    }
    task = TASK_NAMES.get(record.task, f'Image Classification ({record.task})')
    return dict(Task=task, Dataset=dataset_name(record), Metrics=named) if named else None
