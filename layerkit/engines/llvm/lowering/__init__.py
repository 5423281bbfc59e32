"""From a graph to kernels: a rule for each op, and loops that are joined."""
