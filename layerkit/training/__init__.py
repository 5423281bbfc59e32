"""Training: data, checks, callbacks and the loops."""
