# What an environment's machines are, whatever the provider: from a topology to nodes, disks, rules and placement.

locals {
  nodes  = var.topology.nodes
  groups = toset(flatten([for node in local.nodes : node.groups]))
  members = {
    for group in local.groups : group => sort([for name, node in local.nodes : name if contains(node.groups, group)])
  }
  # Where nodes are reached from outside: through the jump hosts, if there are any.
  bastions = lookup(local.members, "bastion", [])
  entries  = length(local.bastions) > 0 ? local.bastions : sort(keys(local.nodes))

  data = merge([
    for name, node in local.nodes : {
      for disk, size in node.data : "${name}/${disk}" => { node = name, name = disk, size = size }
    }
  ]...)
  lost    = sort([for disk in keys(var.existing_data) : disk if !contains(keys(local.data), disk) && !contains(var.release_data, disk)])
  shrunk  = sort([for disk, size in var.existing_data : disk if try(local.data[disk].size < size, false)])
  resized = sort([for disk, size in var.existing_data : disk if !var.grows && try(local.data[disk].size != size, false)])
  kept    = sort([for disk in var.release_data : disk if contains(keys(local.data), disk)])
  unknown = sort([for name, entry in var.public : name if !contains(local.groups, entry.group)])

  # A node is in one anti-affinity group at most, since clouds allow no more: that of the first group of `spread` it is in.
  placement = {
    for name, node in local.nodes :
    name => concat([for group in var.spread : group if contains(node.groups, group) && length(lookup(local.members, group, [])) > 1], [null])[0]
  }

  # What comes in from outside, one rule a source and port. Nodes reach one another; which port is whose, their own firewall says.
  ssh_rules = {
    for source in var.topology.operator_sources : "ssh from ${source}" => {
      nodes  = local.entries
      port   = 22
      source = strcontains(source, "/") ? source : "${source}/32"
    }
  }
  public_rules = merge([
    for name, entry in var.public : {
      for source in entry.sources : "${name} from ${source}" => {
        nodes  = lookup(local.members, entry.group, [])
        port   = entry.port
        source = source
      }
    }
  ]...)
}
