"""Who logs in on the nodes. Standard library only."""

from __future__ import annotations

# The account that every provider's image or first boot makes, with the environment's key and sudo.
USER = "millrace"
