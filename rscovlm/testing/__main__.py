"""``python -m rscovlm.testing FOLDER`` writes what the tiny recipe trains on."""

import sys

from rscovlm.testing import tiny_scenes

tiny_scenes(sys.argv[1] if len(sys.argv) > 1 else "tiny")
