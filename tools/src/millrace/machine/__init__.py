"""The operator's machine: what the bootstrap finds there, and what it changes."""
