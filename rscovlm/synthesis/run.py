"""The whole synthesis, as a configuration says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rscovlm.data.storage import read_records
from rscovlm.records.record import Record
from rscovlm.records.tally import Tally
from rscovlm.synthesis.config import SynthesisConfig
from rscovlm.synthesis.interview import Interview, Writer
from rscovlm.synthesis.multiple_choice import multiple_choice
from rscovlm.synthesis.templates import template_questions
from rscovlm.synthesis.unique import unique_questions


def synthesise(
    config: SynthesisConfig,
    records: str | Path,
    root: str | Path,
    writer: Writer | None,
    journal: str | Path,
    *,
    tally: Tally | None = None,
) -> Iterator[Record]:
    """Make zoom records from stored detections: templates, then unique targets, then multiple choice of all of them.

    Args:
        config: What to make.
        records: Detections, as `storage.read_records` reads them; read once per part.
        root: The data folder.
        writer: Answers what is asked; an engine. Not needed for templates alone.
        journal: Keeps every reply; a second run with the same journal asks only what is missing.
        tally: Counts questions kept and replies rejected by reason.

    Raises:
        ValueError: The configuration needs a writer and there is no writer.
    """
    if writer is None and (config.unique or config.multiple_choice):
        raise ValueError("unique and multiple_choice need a writer; give an engine")
    tally = tally or Tally(1.0)
    made: list[Record] = []
    if config.templates is not None:
        made += tally.counted(template_questions(read_records(records), config.templates))
        yield from made
    if writer is None or config.writer is None:
        return
    bounds = config.writer
    interview = Interview(
        writer,
        journal,
        requests_per_minute=bounds.requests_per_minute,
        max_requests=bounds.max_requests,
        max_tokens=bounds.max_tokens,
        max_new_tokens=bounds.max_new_tokens,
        concurrency=bounds.concurrency,
    )
    if config.unique is not None:
        for record in unique_questions(read_records(records), root, interview, config.unique, tally=tally):
            made.append(record)
            yield record
    if config.multiple_choice:
        yield from multiple_choice(made, interview, seed=config.seed, tally=tally)
