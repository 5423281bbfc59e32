"""The LLVM engine: graphs to machine code, run on several threads."""
