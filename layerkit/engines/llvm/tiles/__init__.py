"""Products on register tiles: matrices and convolutions, and how their operands are packed."""
