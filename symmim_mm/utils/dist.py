"""Helpers for runs of several processes."""

from collections.abc import Callable
from typing import TypeVar

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.model import is_model_wrapper
from torch import nn

Result = TypeVar('Result')


def on_main_rank(function: Callable[[], Result]) -> Result:
    """Call a function on rank 0 and share its outcome; every rank must make this call.

    Args:
        function: its result, or its exception, is pickled where there are several processes.

    Returns:
        What the function returned on rank 0.

    Raises:
        Exception: what the function raised on rank 0, on every rank, so that all stop together.
    """
    outcome: list = [None, None]
    if is_main_process():
        try:
            outcome[0] = function()
        except Exception as error:
            outcome[1] = error
    broadcast_object_list(outcome)
    result, failure = outcome
    if failure is not None:
        raise failure
    return result


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside a wrapper for several processes, or the model itself."""
    return model.module if is_model_wrapper(model) else model  # type: ignore[return-value]
