"""Pictures of test sets whose labels are not published: records to predict, from which nothing can be learnt."""

from __future__ import annotations

from collections.abc import Mapping

from rscovlm.records.record import Record

NOT_PUBLISHED: Mapping[str, str] = {"labels": "not published"}
"""What `extra` of such a record holds; without it, a detection record without objects says that nothing is there."""


def is_unlabelled(record: Record) -> bool:
    """Tell whether a record's labels are not published, so that it has no answer.

    >>> is_unlabelled(Record("P1", "dota-v1.0", "test", "detection", extra=dict(NOT_PUBLISHED)))
    True
    """
    return all(record.extra.get(key) == value for key, value in NOT_PUBLISHED.items())
