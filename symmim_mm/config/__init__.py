"""From a config file and the command line to the config of one run."""

TASKS = ('pretrain', 'finetune', 'linear', 'knn', 'detection', 'segmentation')
TRAIN_TOOL = 'tools/train.py'
EVALUATION_TOOLS = {'linear': 'tools/linear.py', 'knn': 'tools/knn.py'}
"""Commands that judge frozen features, by task; a linear probe may also be trained."""
RANDOM = 'random'
"""Method name of a transfer that starts from random weights."""
