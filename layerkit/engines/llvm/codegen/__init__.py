"""Text IR to machine code in memory: the builder, what the processor offers, the cache on disk."""
