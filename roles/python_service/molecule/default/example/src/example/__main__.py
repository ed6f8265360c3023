"""Lets `python -m example` do what the command does."""

from example import main

main()
