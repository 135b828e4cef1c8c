"""From a folder of images, with or without labels, to a trained model and its page."""
