"""From kernels to steps that run: phases and memory, threads, arrays in and out."""
