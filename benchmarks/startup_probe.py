"""Open a folder of images in a fresh process and print time and memory as JSON."""

import json
import resource
import sys
import time


def main(kind: str, folder: str, cache: str, labels: str) -> None:
    """Open ``folder`` as ``'stock'`` or ``'ours'`` dataset, and take its last image."""
    from mmengine.logging import MMLogger
    from mmpretrain.datasets import CustomDataset

    from symmim_mm.datasets.image_folder import ImageFolder

    MMLogger.get_instance('probe', log_level='WARNING')
    options = dict(data_root=folder, with_label=labels == '1', pipeline=[])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock, cpu = time.perf_counter(), time.process_time()
    if kind == 'stock':
        dataset = CustomDataset(**options)
    else:
        dataset = ImageFolder(**options, index_cache=cache)
    dataset.get_data_info(len(dataset) - 1)
    seconds, cpu_seconds = time.perf_counter() - clock, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = dict(added_mib=(peak - before) / 1024, peak_mib=peak / 1024)
    print(json.dumps(found | dict(seconds=seconds, cpu_seconds=cpu_seconds)))


if __name__ == '__main__':
    main(*sys.argv[1:])
