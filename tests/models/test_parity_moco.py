"""Contrastive loss, heads and momentum encoder against MoCo v3's own code.

How the golden numbers were made: ``moco/builder.py`` and ``main_moco.py`` of
facebookresearch/moco-v3 at commit c349e6e24f40d3fedb22d973f92defa4cedf37a7, unchanged, in
float64 in one process of a gloo group on a CPU (with ``Tensor.cuda`` made to do nothing).
Inputs come from ``formula_weights.draw``.
"""

import pytest
import torch
from formula_weights import draw, relabelled
from torch import Tensor, nn

from symmim_mm.models import ContrastHead, MomentumBranch
from symmim_mm.models.contrast_head import info_nce
from symmim_mm.models.momentum import momentum_at

# By temperature: MoCo.contrastive_loss(3 * draw('query', (6, 8)), draw('key', (6, 8))), the norm
# of its gradient for the query, and [2, :3] of that gradient.
LOSSES = {
    0.2: (
        1.0916128332244852,
        0.13585849542636305,
        [-0.004099241437992132, 0.009266903301181833, -0.006219722531435131],
    ),
    1.0: (
        3.6290763597315348,
        0.11168187212646669,
        [4.2857763220033925e-05, 0.014409243666683358, -0.006178609121165698],
    ),
}
# By --moco-m: adjust_moco_momentum(epoch, args) of 300 epochs.
MOMENTA = {
    0.99: {
        0: 0.99, 0.5: 0.9900000685387629, 75: 0.9914644660940672, 100.25: 0.9925113448004369,
        150: 0.995, 299: 0.9999997258468276, 300: 1.0,
    },
    0.996: {
        0: 0.996, 0.5: 0.9960000274155052, 75: 0.9965857864376269, 100.25: 0.9970045379201747,
        150: 0.998, 299: 0.999999890338731, 300: 1.0,
    },
}  # fmt: skip
# MoCo_ViT(Encoder, dim=4, mlp_dim=16, T=.2) on Encoder = tanh(Linear(12, 8)) with a projector for
# a head, weights .5 * draw(name) (+ 1 for scales of BatchNorm), five steps of SGD at rate .1 on
# draw(f'first views {i}', (6, 12)) and 'second views', momentum .9 rising to 1 in five steps.
# Loss of each step; norms of momentum_encoder.body.weight and .head[0].weight after its forward.
TRAINING = [
    (2.5493906199431966, 5.183638064459702, 5.460536756580666),
    (2.6762115594584346, 5.1835744256884215, 5.460840699657564),
    (3.298726338624002, 5.17996099167907, 5.461076405170021),
    (2.987596284799149, 5.178870605486323, 5.461223255903934),
    (1.6462266737266258, 5.178639104038314, 5.461379795567442),
]


@pytest.mark.parametrize('temperature', LOSSES)
def test_contrastive_loss(temperature: float) -> None:
    loss, norm, gradient = LOSSES[temperature]
    query = (3 * draw('query', (6, 8))).requires_grad_()
    found = info_nce(query, draw('key', (6, 8)), temperature)  # float32 inside
    found.backward()
    assert found.item() == pytest.approx(loss, rel=1e-6)
    assert query.grad.norm().item() == pytest.approx(norm, rel=1e-5)
    assert query.grad[2, :3].tolist() == pytest.approx(gradient, abs=1e-7)


@pytest.mark.parametrize('start', MOMENTA)
def test_momentum_schedule(start: float) -> None:
    for epoch, momentum in MOMENTA[start].items():
        assert momentum_at(epoch / 300, start, 1.0, 'cosine') == pytest.approx(momentum, rel=1e-14)


def weights(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """The formula's weights for a module by the names it has in MoCo v3; statistics as they are."""
    state = module.state_dict()
    for name, value in state.items():
        leaf = name.rpartition('.')[2]
        if leaf in ('weight', 'bias'):
            is_scale = leaf == 'weight' and value.ndim == 1
            state[name] = 0.5 * draw(prefix + name, tuple(value.shape)) + float(is_scale)
    return state


def test_training_with_a_momentum_encoder() -> None:
    """Five steps of the whole: projector, predictor, symmetric loss, EMA.

    MoCo v3 moves its momentum encoder inside the forward of a step, we move it after the step
    before: the same weights at the same momentum, which at the very first step are copies.
    """
    body = nn.Sequential(nn.Linear(12, 8), nn.Tanh()).double()
    head = ContrastHead(in_dims=8, hidden_dims=16, out_dims=4, temperature=0.2).double()
    body.load_state_dict(relabelled(weights('base_encoder.body.', body[0]), '', '0.'))
    head.projector.load_state_dict(weights('base_encoder.head.', head.projector))
    head.predictor.load_state_dict(weights('predictor.', head.predictor))
    online = dict(body=body, projector=head.projector)
    momentum = MomentumBranch(**online)
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)

    for step, (expected, body_norm, projector_norm) in enumerate(TRAINING):
        assert momentum.body[0].weight.norm().item() == pytest.approx(body_norm, rel=1e-7)
        assert momentum.projector[0].weight.norm().item() == pytest.approx(projector_norm, rel=1e-7)
        views = [draw(f'{which} views {step}', (6, 12)) for which in ('first', 'second')]
        queries = [head.predictor(head.projector(body(view))) for view in views]
        with torch.no_grad():
            keys = [momentum.projector(momentum.body(view)) for view in views]
        loss = head.loss(queries[0], keys[1]) + head.loss(queries[1], keys[0])
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress = (step + 1) / len(TRAINING)  # as MomentumUpdateHook counts
        momentum.update(momentum_at(progress, 0.9, 1.0, 'cosine'), **online)
