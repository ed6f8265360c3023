"""Which providers a topology may choose with `provider:`. Standard library only: the bootstrap asks too."""

from __future__ import annotations

PROVIDERS = ("lab", "libvirt", "openstack")
# Their machines are elsewhere: the operator does not come through the network's gateway.
CLOUDS = ("openstack",)
# These make a bridge on this machine.
BRIDGED = ("lab", "libvirt")
# These make disks that outlive a node.
DATA_DISKS = ("libvirt", "openstack")
