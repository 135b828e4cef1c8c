"""A linear classifier on frozen features."""

import torch
import torch.nn.functional as F
from torch import Tensor


def classify_linear(
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    classes: int,
    weight_decay: float = 1e-4,
    iterations: int = 200,
) -> Tensor:
    """Fit multinomial logistic regression by L-BFGS and classify.

    Features are standardized with the training mean and deviation, which is what MAE's probe
    does with a BatchNorm without scale before its head. The problem is convex: no learning
    rate, no schedule, no random start. Features are float ``(N, C)`` for training and ``(M, C)``
    for the test, labels int64 ``(N,)`` in ``[0, classes)``. Weight decay is of the weights, not of
    the bias, relative to the mean loss.

    Returns:
        Predicted classes int64 ``(M,)``.
    """
    mean, deviation = train.mean(dim=0), train.std(dim=0).clamp_min(1e-6)
    train, test = (train - mean) / deviation, (test - mean) / deviation
    weight = torch.zeros(classes, train.shape[1], device=train.device, requires_grad=True)
    bias = torch.zeros(classes, device=train.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=iterations, line_search_fn='strong_wolfe'
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.linear(train, weight, bias), labels)
        loss = loss + 0.5 * weight_decay * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return F.linear(test, weight, bias).argmax(dim=1).detach()
