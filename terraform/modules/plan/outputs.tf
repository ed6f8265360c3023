output "nodes" {
  description = "Each node by name: groups, address, cores, memory (MiB), root disk (GiB), host name, and the group that it is spread with (or null)."
  value = {
    for name, node in local.nodes : name => {
      groups    = sort(node.groups)
      address   = node.address
      cores     = node.cores
      memory    = node.memory
      disk      = node.disk
      host_name = "${name}.${var.topology.domain}"
      spread    = local.placement[name]
    }
  }
}

output "groups" {
  description = "Names of the nodes of each group, sorted."
  value       = local.members
}

output "network" {
  description = "The network: cidr, prefix length, gateway, bridge (or null), and the domain."
  value = {
    cidr    = var.topology.network.cidr
    prefix  = tonumber(split("/", var.topology.network.cidr)[1])
    gateway = var.topology.network.gateway
    bridge  = var.topology.network.bridge
    domain  = var.topology.domain
  }
}

output "data" {
  description = "Each data disk by NODE/DISK: its node, its name, its size in GiB."
  value       = local.data

  precondition {
    condition     = length(local.lost) == 0
    error_message = "The topology no longer has these data disks, and what they hold would be lost: ${join(", ", local.lost)}. Put them back, or let each go by name: DATA=${join(",", local.lost)}."
  }
  precondition {
    condition     = length(local.shrunk) == 0
    error_message = "A data disk grows, and never shrinks: ${join(", ", local.shrunk)}."
  }
  precondition {
    condition     = length(local.resized) == 0
    error_message = "This provider would replace a data disk of another size, with all that it holds: ${join(", ", local.resized)}. Keep the size of the disk that exists."
  }
  precondition {
    condition     = length(local.kept) == 0
    error_message = "The topology still has a data disk that is to be released: ${join(", ", local.kept)}. Take it out of the topology first."
  }
}

output "rules" {
  description = "What may come in from outside, by description: the nodes that it is for, the TCP port, the source network."
  value       = merge(local.ssh_rules, local.public_rules)

  precondition {
    condition     = length(local.unknown) == 0
    error_message = "Public, but for a group without nodes: ${join(", ", local.unknown)}."
  }
}

output "placement" {
  description = "Names of the nodes that must not share a host, by group."
  value = {
    for group in distinct([for spread in values(local.placement) : spread if spread != null]) :
    group => sort([for name, spread in local.placement : name if spread == group])
  }
}

output "bastions" {
  description = "Names of the jump hosts; empty where every node is reached by itself."
  value       = local.bastions
}

output "memory" {
  description = "Memory of all nodes together, in MiB."
  value       = sum(values(local.nodes)[*].memory)
}
