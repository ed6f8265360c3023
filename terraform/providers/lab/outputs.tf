output "nodes" {
  description = "Address of each node by name; the inventory takes addresses from here where a cloud assigns them."
  value       = { for name, node in module.node : name => node.address }
}
