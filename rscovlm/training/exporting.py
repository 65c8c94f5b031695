"""A checkpoint that loads by itself, from a run or its adapter."""

from __future__ import annotations

from pathlib import Path

from rscovlm.loading import load_processor
from rscovlm.training.loading import load_model


def export(source: str, target: str | Path, *, dtype: str = "bfloat16") -> Path:
    """Write a checkpoint that loads by itself: a run's weights, or its adapter added into its model, and the processor.

    Args:
        source: Folder of a run, a checkpoint or an adapter.
        target: Folder to write; made, and not there yet or empty.
        dtype: Type of the weights that are written.

    Returns:
        The folder.

    Raises:
        ValueError: The source cannot be loaded, or the target holds files.
        FileNotFoundError: There is no such source.
    """
    folder = Path(target)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ValueError(f"{folder} is there already; nothing is written over, choose another folder")
    processor = load_processor(source)
    model = load_model(source, dtype=dtype)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
