"""Stand-in for a data generator: ``make_data.py OUT TEXT`` leaves a manifest holding TEXT."""

import sys
from pathlib import Path

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
(out / 'manifest.json').write_text(sys.argv[2], encoding='utf-8')
