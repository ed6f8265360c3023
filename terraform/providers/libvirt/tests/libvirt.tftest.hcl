# Against a stand-in for the daemon; `make test-libvirt` boots a real virtual machine.
mock_provider "libvirt" {}

variables {
  topology       = "tests/topology.yml"
  ssh_public_key = "ssh-ed25519 AAAA try"
  owner          = "00000000-0000-0000-0000-000000000000"
  image          = "/images/base.img"
  pool           = "/var/lib/libvirt/millrace/try"
  acceleration   = "qemu"
  host_keys = {
    kafka-1 = { private = "private of kafka-1\n", public = "ssh-ed25519 kafka-1" }
    db-1    = { private = "private of db-1\n", public = "ssh-ed25519 db-1" }
  }
  boot = { kernel = "/images/vmlinuz", initrd = "/images/initrd", cmdline = { root = "/dev/vda" } }
}

run "outputs" {
  assert {
    condition     = output.nodes["kafka-1"].address == "192.0.2.11" && output.nodes["kafka-1"].public == null && length(output.bastions) == 0
    error_message = "A node has its address, and nothing outside."
  }
  assert {
    condition     = can(regex("^/dev/disk/by-id/wwn-0x5[0-9a-f]{15}$", output.nodes["kafka-1"].data["kafka"])) && output.nodes["kafka-1"].data["kafka"] != output.nodes["db-1"].data["postgresql"]
    error_message = "A disk has a stable path of its own."
  }
}

run "disks" {
  assert {
    condition     = jsonencode({ for name, volume in libvirt_volume.data : name => volume.size }) == jsonencode({ "db-1/postgresql" = 40 * pow(1024, 3), "kafka-1/kafka" = 20 * pow(1024, 3) })
    error_message = "A data disk is a volume of its own, in bytes."
  }
}

run "no_boot_loader" {
  assert {
    condition     = module.node["db-1"].domain.kernel == libvirt_volume.boot["kernel"].id && libvirt_volume.boot["kernel"].source == "/images/vmlinuz" && module.node["db-1"].domain.type == "qemu" && module.node["db-1"].domain.memory == 3072
    error_message = "An image without a boot loader gets its kernel from outside."
  }
}

run "a_boot_loader_and_kvm" {
  variables {
    boot         = null
    acceleration = "kvm"
  }
  assert {
    condition     = module.node["db-1"].domain.kernel == null && module.node["db-1"].domain.type == "kvm" && module.node["db-1"].domain.cpu[0].mode == "host-passthrough"
    error_message = "An image with one boots by itself."
  }
}

run "an_unknown_acceleration" {
  command         = plan
  expect_failures = [var.acceleration]
  variables {
    acceleration = "xen"
  }
}

run "a_relative_pool" {
  command         = plan
  expect_failures = [var.pool]
  variables {
    pool = "pool"
  }
}
