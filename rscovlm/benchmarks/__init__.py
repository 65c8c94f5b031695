"""The papers' tables as data and commands: suites, a runner, scores that say how they were made, and reports."""
