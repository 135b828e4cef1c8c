"""Detectors without a mask branch: whatever loads, draws or measures masks follows."""

from mmengine.config import Config

from symmim_mm.config.classes import loader_datasets


def measures_masks(cfg: Config) -> bool:
    """Return whether a detection config has masks in its validation, where it says."""
    evaluator = cfg.get('val_evaluator')
    return not isinstance(evaluator, dict) or 'segm' in str(evaluator.get('metric', 'segm'))


def follow_mask_branch(cfg: Config) -> None:
    """Load, pad and measure no masks where ``model.roi_head.mask_head`` is None."""
    roi_head = cfg.model.get('roi_head')
    if not isinstance(roi_head, dict) or roi_head.get('mask_head') is not None:
        return
    roi_head['mask_head'] = roi_head['mask_roi_extractor'] = None
    if isinstance(cfg.model.get('data_preprocessor'), dict):
        cfg.model.data_preprocessor.pad_mask = False
    for dataset in loader_datasets(cfg).values():
        for step in dataset.get('pipeline') or ():
            for option in {'with_mask', 'by_mask'} & set(step):
                step[option] = False
    for name in ('val_evaluator', 'test_evaluator'):
        evaluator = cfg.get(name)
        if isinstance(evaluator, dict) and 'segm' in str(evaluator.get('metric')):
            evaluator['metric'] = ['bbox']
