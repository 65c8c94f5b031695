"""Training through TRL: collator, optimisers, trainer glue and recipes."""
