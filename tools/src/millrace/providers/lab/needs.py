"""What the lab needs of this machine. Standard library only."""

from __future__ import annotations

from millrace.providers.interface import Needs

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
NEEDS = Needs(
    packages={
        "debian-archive-keyring": KEYRING,
        "dnsmasq-base": "dnsmasq",
        "incus": "incus",
        "mmdebstrap": "mmdebstrap",
        "nftables": "nft",
        "uidmap": "newuidmap",
    }
)
