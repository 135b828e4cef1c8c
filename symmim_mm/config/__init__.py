"""From a config file and the command line to the config of one run."""

TASKS = (
    'pretrain', 'finetune', 'linear', 'attentive', 'knn', 'detection', 'segmentation',
    'linear_segmentation',
)  # fmt: skip
EVALUATIONS = ('linear', 'knn')
"""Tasks with a command that evaluates frozen features; a linear probe may also be trained."""
PREDICTING = ('finetune', 'linear', 'detection', 'segmentation')
"""Tasks whose runs predict images of one's own."""
RANDOM = 'random'
"""Method name of a transfer that starts from random weights."""
