output "name" {
  description = "Name of the node."
  value       = terraform_data.instance.triggers_replace.name
}

output "address" {
  description = "IPv4 address at which the node is reached."
  value       = terraform_data.settings.triggers_replace.address
}
