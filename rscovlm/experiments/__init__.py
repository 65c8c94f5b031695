"""What was learnt from experiments: scenes, the four claims of the method, the embedded model; each with its figures."""
