# Every environment with `provider: openstack`: its network, security groups, data volumes, and a server for each node.

locals {
  topology = yamldecode(file(var.topology))
  settings = local.topology.openstack
  prefix   = "millrace-${local.topology.environment}"
  tags     = ["millrace", local.prefix, "owner=${var.owner}"]
  # A node's flavour is that of the first of its groups (in the order of the topology) that has one.
  flavors = {
    for name, node in local.topology.nodes :
    name => concat([for group in node.groups : local.settings.flavors[group] if contains(keys(local.settings.flavors), group)], [local.settings.flavors.default])[0]
  }
  # Nodes that are reached from outside by themselves: jump hosts (else all), and those of what is public.
  outside = toset(flatten([for rule in values(module.plan.rules) : rule.nodes]))
}

module "plan" {
  source = "../../modules/plan"

  topology      = local.topology
  existing_data = var.existing_data
  release_data  = var.release_data
}

resource "openstack_networking_network_v2" "this" {
  name                  = local.prefix
  port_security_enabled = true
  tags                  = local.tags
}

resource "openstack_networking_subnet_v2" "this" {
  name            = local.prefix
  network_id      = openstack_networking_network_v2.this.id
  cidr            = module.plan.network.cidr
  gateway_ip      = module.plan.network.gateway
  dns_nameservers = try(local.settings.dns, [])
  tags            = local.tags
}

data "openstack_networking_network_v2" "external" {
  name     = local.settings.external_network
  external = true
}

resource "openstack_networking_router_v2" "this" {
  name                = local.prefix
  external_network_id = data.openstack_networking_network_v2.external.id
  tags                = local.tags
}

resource "openstack_networking_router_interface_v2" "this" {
  router_id = openstack_networking_router_v2.this.id
  subnet_id = openstack_networking_subnet_v2.this.id
}

# Nodes reach one another and the world; which port of a node is for whom, its own firewall says.
resource "openstack_networking_secgroup_v2" "inside" {
  name                 = "${local.prefix}-inside"
  description          = "Traffic between the nodes of ${local.topology.environment}"
  delete_default_rules = true
  tags                 = local.tags
}

resource "openstack_networking_secgroup_rule_v2" "inside" {
  description       = "from the nodes of ${local.topology.environment}"
  direction         = "ingress"
  ethertype         = "IPv4"
  remote_group_id   = openstack_networking_secgroup_v2.inside.id
  security_group_id = openstack_networking_secgroup_v2.inside.id
}

resource "openstack_networking_secgroup_rule_v2" "out" {
  description       = "to anywhere: packages, time, names"
  direction         = "egress"
  ethertype         = "IPv4"
  security_group_id = openstack_networking_secgroup_v2.inside.id
}

# One group for each rule of the plan: a node's port takes those of the rules that it is named in.
resource "openstack_networking_secgroup_v2" "outside" {
  for_each = module.plan.rules

  name                 = "${local.prefix}-${replace(each.key, "/[^a-z0-9]+/", "-")}"
  description          = each.key
  delete_default_rules = true
  tags                 = local.tags
}

resource "openstack_networking_secgroup_rule_v2" "outside" {
  for_each = module.plan.rules

  description       = each.key
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "tcp"
  port_range_min    = each.value.port
  port_range_max    = each.value.port
  remote_ip_prefix  = each.value.source
  security_group_id = openstack_networking_secgroup_v2.outside[each.key].id
}

resource "openstack_compute_servergroup_v2" "spread" {
  for_each = module.plan.placement

  name     = "${local.prefix}-${each.key}"
  policies = [try(local.settings.anti_affinity, "anti-affinity")]
}

resource "openstack_compute_keypair_v2" "this" {
  name       = local.prefix
  public_key = var.ssh_public_key
}

data "openstack_images_image_v2" "this" {
  name        = var.image
  most_recent = true
}

# A volume of its own for each data disk, so that a node made anew finds it again.
resource "openstack_blockstorage_volume_v3" "data" {
  for_each = module.plan.data

  name                 = "${local.prefix}-${replace(each.key, "/", "-")}"
  size                 = each.value.size
  volume_type          = try(local.settings.volume_type, null)
  enable_online_resize = true
  metadata             = { environment = local.topology.environment, node = each.value.node, data = each.value.name, owner = var.owner }
}

module "node" {
  source   = "../../modules/node-openstack"
  for_each = module.plan.nodes

  name            = each.key
  environment     = local.topology.environment
  host_name       = each.value.host_name
  address         = each.value.address
  disk            = each.value.disk
  flavor          = local.flavors[each.key]
  image_id        = data.openstack_images_image_v2.this.id
  key_pair        = openstack_compute_keypair_v2.this.name
  ssh_public_key  = var.ssh_public_key
  host_key        = var.host_keys[each.key]
  running         = var.running
  network_id      = openstack_networking_network_v2.this.id
  subnet_id       = openstack_networking_subnet_v2.this.id
  security_groups = concat([openstack_networking_secgroup_v2.inside.id], [for name, rule in module.plan.rules : openstack_networking_secgroup_v2.outside[name].id if contains(rule.nodes, each.key)])
  server_group    = try(openstack_compute_servergroup_v2.spread[each.value.spread].id, null)
  volumes         = { for disk in values(module.plan.data) : disk.name => openstack_blockstorage_volume_v3.data["${disk.node}/${disk.name}"].id if disk.node == each.key }
  floating_pool   = contains(local.outside, each.key) ? local.settings.external_network : null
  tags            = local.tags

  # Without the router's interface a floating address has no way to the port.
  depends_on = [openstack_networking_router_interface_v2.this]
}
