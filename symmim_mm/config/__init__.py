"""From a config file and the command line to the config of one run."""

TASKS = (
    'pretrain', 'finetune', 'linear', 'attentive', 'knn', 'detection', 'segmentation',
    'linear_segmentation',
)  # fmt: skip
EVALUATIONS = ('linear', 'knn')
"""Tasks with a command that evaluates frozen features; a linear probe may also be trained."""
RANDOM = 'random'
"""Method name of a transfer that starts from random weights."""
