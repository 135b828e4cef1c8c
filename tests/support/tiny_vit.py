"""The ViT of tests that need one and not its size."""

TINY = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64)
