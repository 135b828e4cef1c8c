"""From an image file to pixels: decoding, cropping, label maps."""
