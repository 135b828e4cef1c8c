"""Classifiers and decoders of damaged checkpoints: left out, or refused in one line."""

import pytest
import torch
from torch import Tensor

from symmim_mm.checkpoint.heads import read_classifier, read_decoder
from symmim_mm.utils.errors import UserError

CLASSIFIER = {'head.fc.weight': torch.zeros(4, 32), 'head.fc.bias': torch.zeros(4)}
DECODER = {
    'neck.decoder_embed.weight': torch.zeros(16, 32),
    'neck.decoder_blocks.0.attn.qkv.weight': torch.zeros(48, 16),
}


@pytest.mark.parametrize(
    'damage', [{'head.fc.bias': torch.zeros(())}, {'head.fc.weight': torch.zeros(32)}]
)
def test_what_is_no_classifier_is_left_out(damage: dict[str, Tensor]) -> None:
    assert read_classifier(dict(state_dict=CLASSIFIER), 32)
    assert read_classifier(dict(state_dict=CLASSIFIER | damage), 32) is None


@pytest.mark.parametrize('meta', [None, [1], dict(dataset_meta=[1]), dict(dataset_meta={})])
def test_classes_without_names_are_numbered(meta: object) -> None:
    found = read_classifier(dict(state_dict=CLASSIFIER, meta=meta), 32)
    assert found.names == ('LABEL_0', 'LABEL_1', 'LABEL_2', 'LABEL_3')


def test_decoders_whole_and_damaged() -> None:
    found = read_decoder(dict(state_dict=DECODER))
    assert found.layers == 1
    # As facebook/vit-mae-base on the Hub has it.
    assert 'decoder_layers.0.attention.attention.query.weight' in found.state
    broken = DECODER | {'neck.decoder_embed.weight': torch.zeros(())}
    assert read_decoder(dict(state_dict=broken)) is None
    broken = DECODER | {'neck.decoder_blocks.0.attn.qkv.weight': torch.zeros(2, 16)}
    with pytest.raises(UserError, match='no tensor for layers.0.attn.qkv.weight'):
        read_decoder(dict(state_dict=broken))
    broken = CLASSIFIER | {'head.fc.weight': torch.zeros(4, 32).to_sparse()}
    with pytest.raises(UserError, match='the classifier: head.fc.weight is a sparse tensor'):
        read_classifier(dict(state_dict=broken), 32)
