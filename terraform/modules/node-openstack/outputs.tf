output "address" {
  description = "The node's address in the environment's network."
  value       = openstack_networking_port_v2.this.fixed_ip[0].ip_address
}

output "public" {
  description = "The node's floating address; null where it has none."
  value       = one(openstack_networking_floatingip_v2.this[*].address)
}

output "data" {
  description = "The stable path of each data disk by its name: the kernel names a disk after the first 20 characters of its volume's id."
  value       = { for name, id in var.volumes : name => "/dev/disk/by-id/virtio-${substr(id, 0, 20)}" }

  depends_on = [openstack_compute_volume_attach_v2.data]
}

output "flavor" {
  description = "Flavour of the server."
  value       = openstack_compute_instance_v2.this.flavor_name
}

output "security_groups" {
  description = "Ids of the port's security groups."
  value       = openstack_networking_port_v2.this.security_group_ids
}
