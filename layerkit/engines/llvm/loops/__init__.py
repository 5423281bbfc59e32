"""Fused loops: where an element lies, what is computed where it is needed, how a loop is written."""
