"""A benchmark of instructions with one to four conditions: drawn places, true answers by construction, and the score of rules and solver."""
