"""The provider lab: nodes are Incus system containers on this machine."""
