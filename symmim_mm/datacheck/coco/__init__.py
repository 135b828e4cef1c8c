"""COCO's layout and annotation files."""
