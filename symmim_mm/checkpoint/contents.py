"""What an export writes, read once for all formats."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from symmim_mm.checkpoint.encoder import Encoder, encoder_of
from symmim_mm.checkpoint.heads import Classifier, Decoder, read_classifier, read_decoder
from symmim_mm.checkpoint.read import read_checkpoint


@dataclass(frozen=True)
class Contents:
    """An encoder and what stands next to it in its checkpoint; a model card and options."""

    encoder: Encoder
    classifier: Classifier | None = None
    decoder: Decoder | None = None
    card: str = ''
    raw_images: bool = False  # ONNX: normalize inside


def read_contents(
    checkpoint: str | Path, heads: int | None, branch: str, card: str = '', raw_images: bool = False
) -> Contents:
    """Read what is exported of a checkpoint; parameters as of ``export_backbone``."""
    whole = read_checkpoint(checkpoint)
    encoder = encoder_of(whole, f'checkpoint {checkpoint}', heads, branch)
    return Contents(
        encoder,
        read_classifier(whole, encoder.width),
        read_decoder(whole) if branch == 'online' else None,
        card,
        raw_images,
    )


def write_tensors(state: dict[str, Tensor], file: Path, metadata: dict[str, str]) -> None:
    """Write tensors as safetensors, with the user's usual permissions."""
    # safetensors' own save_file makes files that only their owner can read.
    # It refuses tensors that share memory, as those of some checkpoints do: each gets its own.
    copies = {
        key: value.clone(memory_format=torch.contiguous_format) for key, value in state.items()
    }
    file.write_bytes(save(copies, metadata))
