output "nodes" {
  description = "Each node by name, in the shape of terraform/contract.schema.json."
  value = {
    for name, node in module.node : name => {
      address = node.address
      public  = node.public
      data    = node.data
    }
  }
}

output "bastions" {
  description = "Names of the nodes that the others are reached through; empty where each is reached by itself."
  value       = module.plan.bastions
}
