"""Generated sample data: drawn images for classification, detection and segmentation."""
