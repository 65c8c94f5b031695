"""Random changes to the package, and whether tests notice them.

Why neither mutmut nor cosmic-ray runs this (both read at 3.8.1 and 8.7.0):

- Their runners: cosmic-ray rewrites the checkout and starts a process a mutant, which imports torch anew each time; mutmut wraps
  every function in a trampoline, which docs, floors and docstring tests read as source, and times the whole suite first. Neither
  draws a seeded sample.
- Their changes: neither swaps arguments or axes, removes a statement or (mutmut) negates a condition, which is what went unnoticed
  here; most of theirs (``+`` to each of eleven operators, an argument to ``None``) raise at once and would flatter the share.
- They would add parsers to the environment of the tests; `ast` is there.

Coverage by test comes from `coverage`, and everything else of a trial is pytest's.
"""
