"""What goes to and comes from the Hub."""

from rscovlm.hub.records import pull_records, push_records

__all__ = ["pull_records", "push_records"]
