"""Tools that run on the operator's machine."""
