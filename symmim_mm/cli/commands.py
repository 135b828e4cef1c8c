"""The table of commands, and the console command that chooses one."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

from symmim_mm import __version__
from symmim_mm.cli import data, results, training
from symmim_mm.cli.run import run


@dataclass(frozen=True)
class Command:
    """A command: what it is for, its arguments, and the function that is given their values."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    call: Callable[[argparse.Namespace], None]
    epilog: str = ''

    def build_parser(self, prog: str) -> argparse.ArgumentParser:
        """Return the command's parser; ``prog`` is what the user typed."""
        parser = argparse.ArgumentParser(
            prog=prog,
            description=self.summary,
            epilog=self.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_arguments(parser)
        return parser


COMMANDS = {
    'train': Command(
        'Train one config: a pre-training, or a transfer in any of the three libraries.',
        training.add_train_arguments, training.train,
    ),
    'test': Command(
        'Evaluate the checkpoint of a finished run with the test set and metrics of its config.',
        training.add_test_arguments, training.test,
    ),
    'plan': Command(
        'Print what a run will be, without data or GPU: the dry run of `train`.',
        training.add_plan_arguments, training.plan,
    ),
    'knn': Command(
        'Classify frozen features by their nearest neighbors (weighted k-NN).',
        training.add_evaluation_arguments, training.knn,
    ),
    'linear': Command(
        'Fit a linear classifier on frozen features.',
        training.add_evaluation_arguments, training.linear,
    ),
    'suite': Command(
        'Make all runs of a suite that are not finished, in order, then the table and the page.',
        results.add_suite_arguments, results.suite, results.SUITE_EPILOG,
    ),
    'collect': Command(
        'Make the comparison table and the report page from finished runs.',
        results.add_collect_arguments, results.collect, results.COLLECT_EPILOG,
    ),
    'visualize': Command(
        'Draw masks, reconstructions, attention, detections or segmentations as PNG files.',
        results.add_visualize_arguments, results.visualize,
    ),
    'export': Command(
        "Write the backbone of a checkpoint for timm, HuggingFace's transformers or ONNX.",
        results.add_export_arguments, results.export, results.EXPORT_EPILOG,
    ),
    'check': Command(
        'Check a dataset before training on it: layout, counts, classes, annotations, every image.',
        data.add_check_arguments, data.check, data.CHECK_EPILOG,
    ),
    'prepare': Command(
        'Resize a folder of images once, into shards that are read in sequence.',
        data.add_prepare_arguments, data.prepare, data.PREPARE_EPILOG,
    ),
    'sample-data': Command(
        'Draw the sample data: images of shapes for classification, detection and segmentation.',
        data.add_sample_arguments, data.sample, data.SAMPLE_EPILOG,
    ),
    'benchmark': Command(
        'Measure speed against a named peer in the same run, and write the result as JSON.',
        results.add_benchmark_arguments, results.benchmark,
    ),
}  # fmt: skip


def run_command(name: str, prog: str, arguments: list[str] | None = None) -> None:
    """Run one command as a program: parse, call, end with its exit code."""
    command = COMMANDS[name]
    run(command.call, lambda: command.build_parser(prog), arguments)


def main() -> None:
    """Run ``symmim COMMAND ...``."""
    names = '\n'.join(f'  {name:12} {command.summary}' for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog='symmim',
        description='Masked image modeling with SymMIM, MAE and SimMIM, and its transfer.',
        epilog=f'commands:\n{names}\n\n`symmim COMMAND --help` lists the options of one.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'symmim-mm {__version__}')
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND', help='see below')
    # Only the first word: the rest belongs to the command's own parser.
    command = parser.parse_args(sys.argv[1:2]).command
    run_command(command, f'symmim {command}', sys.argv[2:])
