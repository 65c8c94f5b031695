"""Metrics as Spaces: a file a metric says what differs, and templates write its card, module and page.

A metric becomes a Space by a file here and a line in `NAMES`.
"""

NAMES = (
    "acc_at_05",
    "ap_nc",
    "lrs_vqa_aa",
)
"""Files of this package, which are the names of the Spaces too."""
