# One node as a virtual machine. All that only this version of the provider knows is in this module (see ADR 12).

locals {
  domain = "millrace-${var.environment}-${var.name}"
  # The same at each run, and told apart by environment and node: an address with the bit for "locally administered".
  mac = join(":", concat(["52", "54", "00"], [for i in [0, 2, 4] : substr(sha256(local.domain), i, 2)]))
  # World-wide names of disks (NAA 5): /dev/disk/by-id has them, in whatever order the kernel finds the disks.
  wwn = { for name, _ in var.volumes : name => "5${substr(sha256("${local.domain}/${name}"), 0, 15)}" }
}

resource "libvirt_volume" "root" {
  name           = "root-${var.name}"
  pool           = var.pool
  base_volume_id = var.image_id
  size           = var.disk * 1024 * 1024 * 1024

  lifecycle {
    # A new image is for new nodes only.
    ignore_changes       = [base_volume_id]
    replace_triggered_by = [terraform_data.identity]
  }
}

# What a node can't become without being made anew.
resource "terraform_data" "identity" {
  triggers_replace = { address = var.address, host_name = var.host_name }
}

resource "libvirt_cloudinit_disk" "this" {
  name = "cloud-init-${var.name}.iso"
  pool = var.pool
  user_data = templatefile("${path.module}/../cloud-init/user-data.yml.tftpl", {
    host_name      = var.host_name
    ssh_public_key = var.ssh_public_key
    host_key       = var.host_key
  })
  meta_data = yamlencode({ "instance-id" = local.domain, "local-hostname" = var.name })
  network_config = yamlencode({
    version = 2
    ethernets = {
      node = {
        match       = { macaddress = local.mac }
        accept-ra   = false
        link-local  = []
        addresses   = ["${var.address}/${var.network.prefix}"]
        routes      = [{ to = "0.0.0.0/0", via = var.network.gateway }]
        nameservers = { addresses = [var.network.gateway], search = [var.network.domain] }
      }
    }
  })

  lifecycle {
    # It is read at the first boot alone: another one is for new nodes only.
    ignore_changes       = [user_data, meta_data, network_config]
    replace_triggered_by = [terraform_data.identity]
  }
}

resource "libvirt_domain" "this" {
  name        = local.domain
  description = "millrace node ${var.name}, owner ${var.owner}"
  type        = var.acceleration
  vcpu        = var.cores
  memory      = var.memory
  cloudinit   = libvirt_cloudinit_disk.this.id
  # After a reboot of the host the nodes come back, as machines do.
  autostart = true
  kernel    = try(var.boot.kernel, null)
  initrd    = try(var.boot.initrd, null)
  cmdline   = var.boot == null ? [] : [var.boot.cmdline]

  cpu {
    # What the host has, where it has it; TCG computes the newest that it can.
    mode = var.acceleration == "kvm" ? "host-passthrough" : "maximum"
  }

  disk {
    volume_id = libvirt_volume.root.id
  }

  dynamic "disk" {
    for_each = var.volumes
    content {
      volume_id = disk.value
      scsi      = true
      wwn       = local.wwn[disk.key]
    }
  }

  network_interface {
    network_id = var.network_id
    mac        = local.mac
  }

  console {
    type        = "pty"
    target_port = "0"
    target_type = "serial"
  }

  # The provider has no words for a filter: packets with another MAC or IP address than the node's own are dropped.
  xml {
    xslt = templatefile("${path.module}/filter.xsl.tftpl", { address = var.address })
  }
}
