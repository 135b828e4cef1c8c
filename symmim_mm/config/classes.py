"""The number of classes of a classifier, which its head states, and what follows from it."""

from mmengine.config import Config

from symmim_mm.utils.errors import UserError

TASKS = ('finetune', 'linear')


def complete_classes(cfg: Config) -> None:
    """Fill in the classes of the preprocessor and the top-k of the accuracy from the head's.

    Raises:
        UserError: the config states others.
    """
    head = cfg.model.get('head')
    count = head.get('num_classes') if isinstance(head, dict) else None
    if cfg.run.task not in TASKS or type(count) is not int:
        return
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    if isinstance(preprocessor, dict):
        stated = preprocessor.setdefault('num_classes', count)
        if stated != count:
            raise UserError(
                f'data_preprocessor.num_classes={stated!s:.20}, but model.head.num_classes='
                f'{count}: leave the former out, it follows from the latter'
            )
    for name in ('val_evaluator', 'test_evaluator'):
        metrics = cfg.get(name)
        for metric in metrics if isinstance(metrics, list | tuple) else [metrics]:
            if not isinstance(metric, dict) or _name(metric) != 'Accuracy':
                continue
            topk = metric.setdefault('topk', (1, 5) if count > 5 else (1,))
            numbers = topk if isinstance(topk, list | tuple) else [topk]
            if any(type(k) is not int or not 1 <= k <= count for k in numbers):
                raise UserError(
                    f'{name}.topk={topk!s:.80} does not fit the {count} classes of model.head: '
                    'leave it out, it follows'
                )


def _name(metric: dict) -> str:
    return str(metric.get('type')).rpartition('.')[2]
