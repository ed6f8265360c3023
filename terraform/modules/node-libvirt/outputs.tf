output "address" {
  description = "The node's address in the environment's network."
  value       = var.address

  depends_on = [libvirt_domain.this]
}

output "public" {
  description = "Always null: the host itself reaches the network."
  value       = null
}

output "data" {
  description = "The stable path of each data disk by its name."
  value       = { for name, wwn in local.wwn : name => "/dev/disk/by-id/wwn-0x${wwn}" }

  depends_on = [libvirt_domain.this]
}

output "domain" {
  description = "The virtual machine as the provider has it."
  value       = libvirt_domain.this
}
