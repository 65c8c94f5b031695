"""Faults, duplicates and leaks in records, and cleaning of their texts."""
