"""Virtual machines on this machine, by libvirt."""
