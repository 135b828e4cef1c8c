"""Maps of similarity: cosines of the tokens that the backbone gives."""

import torch
from tiny_models import vit
from torch.nn.functional import cosine_similarity

from symmim_mm.evaluation.attention import patch_similarity


def test_similarity_is_the_cosine_of_tokens() -> None:
    backbone, images = vit(), torch.randn(2, 3, 32, 32)
    maps = patch_similarity(backbone, images)
    assert maps.shape == (2, 9, 4, 4)
    tokens = backbone(images)[-1][:, 1:].detach()
    # The middles of thirds of 4 patches: rows and columns 0, 2 and 3.
    places = [4 * row + column for row in (0, 2, 3) for column in (0, 2, 3)]
    for number, place in enumerate(places):
        expected = cosine_similarity(tokens[:, place, None], tokens, dim=-1).view(2, 4, 4)
        torch.testing.assert_close(maps[:, number], expected)
        torch.testing.assert_close(maps[:, number].flatten(1)[:, place], torch.ones(2))
