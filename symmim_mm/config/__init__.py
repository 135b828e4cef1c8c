"""From a config file and the command line to the config of one run."""

TASKS = (
    'pretrain', 'finetune', 'linear', 'attentive', 'knn', 'detection', 'segmentation',
    'linear_segmentation',
)  # fmt: skip
EVALUATIONS = ('linear', 'knn')
"""Tasks with a command that evaluates frozen features; a linear probe may also be trained."""
LABEL_MAPS = ('segmentation', 'linear_segmentation')
PREDICTING = ('finetune', 'linear', 'attentive', 'detection', *LABEL_MAPS)
"""Tasks whose runs predict images of one's own."""
RANDOM = 'random'
"""Method name of a transfer that starts from random weights."""
