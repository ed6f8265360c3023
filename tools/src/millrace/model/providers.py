"""Which providers a topology may choose with `provider:`. Standard library only: the bootstrap asks too."""

from __future__ import annotations

PROVIDERS = ("lab", "libvirt", "openstack")
IMPLEMENTED = PROVIDERS
# Their machines are elsewhere: the operator does not come through the network's gateway.
CLOUDS = ("openstack",)
# These make a bridge on this machine.
BRIDGED = ("lab", "libvirt")
# These make disks that outlive a node.
DATA_DISKS = ("libvirt", "openstack")


def unimplemented(provider: str) -> str:
    """Return the line that refuses a provider of which there is no more than the name; else nothing."""
    if provider not in PROVIDERS or provider in IMPLEMENTED:
        return ""
    return f"provider: {provider} is not implemented yet; use {' or '.join(IMPLEMENTED)}"
