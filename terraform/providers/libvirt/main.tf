# Every environment with `provider: libvirt`: its network, its storage pool, and a virtual machine for each node.

locals {
  topology = yamldecode(file(var.topology))
  prefix   = "millrace-${local.topology.environment}"
}

module "plan" {
  source = "../../modules/plan"

  topology      = local.topology
  existing_data = var.existing_data
  release_data  = var.release_data
  # Another size makes this provider replace the volume.
  grows = false
}

resource "libvirt_network" "this" {
  name      = local.prefix
  mode      = "nat"
  bridge    = module.plan.network.bridge
  domain    = module.plan.network.domain
  addresses = [module.plan.network.cidr]
  autostart = true

  # Addresses are the topology's, and cloud-init sets them.
  dhcp {
    enabled = false
  }
  dns {
    enabled    = true
    local_only = false
  }
}

resource "libvirt_pool" "this" {
  name = local.prefix
  type = "dir"

  target {
    path = var.pool
  }
}

resource "libvirt_volume" "image" {
  name   = "image-${sha256(basename(var.image))}"
  pool   = libvirt_pool.this.name
  source = var.image
  # A node's root disk is a layer over the image that it was made from, which therefore stays as long as it does.
  lifecycle {
    ignore_changes = [name, source]
  }
}

# The daemon's processes may read what is in a pool, and hardly anything else.
resource "libvirt_volume" "boot" {
  for_each = var.boot == null ? {} : { kernel = var.boot.kernel, initrd = var.boot.initrd }

  name   = "${each.key}-${sha256(basename(dirname(each.value)))}"
  pool   = libvirt_pool.this.name
  source = each.value
  lifecycle {
    ignore_changes = [name, source]
  }
}

# A volume of its own for each data disk, so that a node made anew finds it again.
resource "libvirt_volume" "data" {
  for_each = module.plan.data

  name = "data-${replace(each.key, "/", "-")}"
  pool = libvirt_pool.this.name
  size = each.value.size * 1024 * 1024 * 1024

  lifecycle {
    ignore_changes = [size]
  }
}

module "node" {
  source   = "../../modules/node-libvirt"
  for_each = module.plan.nodes

  name           = each.key
  environment    = local.topology.environment
  host_name      = each.value.host_name
  address        = each.value.address
  network        = module.plan.network
  network_id     = libvirt_network.this.id
  cores          = each.value.cores
  memory         = each.value.memory
  disk           = each.value.disk
  pool           = libvirt_pool.this.name
  image_id       = libvirt_volume.image.id
  volumes        = { for disk in values(module.plan.data) : disk.name => libvirt_volume.data["${disk.node}/${disk.name}"].id if disk.node == each.key }
  ssh_public_key = var.ssh_public_key
  host_key       = var.host_keys[each.key]
  owner          = var.owner
  acceleration   = var.acceleration
  boot           = var.boot == null ? null : { kernel = libvirt_volume.boot["kernel"].id, initrd = libvirt_volume.boot["initrd"].id, cmdline = var.boot.cmdline }
}
