"""Retention: what is due, what proves that the lake has it, and the command that drops it."""
