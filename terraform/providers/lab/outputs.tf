output "nodes" {
  description = "Each node by name, in the shape of terraform/contract.schema.json."
  value = {
    for name, node in module.node : name => {
      address = node.address
      public  = null
      # A container has no disks of its own: what it holds lies in its root file system.
      data = {}
    }
  }
}

output "bastions" {
  description = "Names of the nodes that the others are reached through; the lab's are reached from this machine."
  value       = module.plan.bastions
}
