# Every environment with `provider: lab`: each node of its topology as an Incus container on this machine.

locals {
  topology = yamldecode(file(var.topology))
}

module "plan" {
  source = "../../modules/plan"

  topology      = local.topology
  existing_data = var.existing_data
  release_data  = var.release_data
}

module "node" {
  source   = "../../modules/node-lab"
  for_each = module.plan.nodes

  name           = each.key
  environment    = local.topology.environment
  address        = each.value.address
  cores          = each.value.cores
  memory         = each.value.memory
  disk           = each.value.disk
  groups         = each.value.groups
  ssh_public_key = var.ssh_public_key
  owner          = var.owner
  image          = var.image
  sudo           = var.sudo
}
