# One node as an OpenStack server. Address and security groups are its port's, so that a server made anew keeps them.

resource "openstack_networking_port_v2" "this" {
  name           = "millrace-${var.environment}-${var.name}"
  network_id     = var.network_id
  admin_state_up = true
  # Drops what the node sends with another address than its own.
  port_security_enabled = true
  security_group_ids    = var.security_groups
  tags                  = var.tags

  fixed_ip {
    subnet_id  = var.subnet_id
    ip_address = var.address
  }
}

resource "openstack_compute_instance_v2" "this" {
  name         = "millrace-${var.environment}-${var.name}"
  flavor_name  = var.flavor
  key_pair     = var.key_pair
  config_drive = true
  power_state  = var.running ? "active" : "shutoff"
  user_data = templatefile("${path.module}/../cloud-init/user-data.yml.tftpl", {
    host_name      = var.host_name
    ssh_public_key = var.ssh_public_key
    host_key       = var.host_key
  })
  tags = var.tags

  # The root disk is a volume of the size that the topology says, whatever the flavour has, and goes with the server.
  block_device {
    uuid                  = var.image_id
    source_type           = "image"
    destination_type      = "volume"
    volume_size           = var.disk
    boot_index            = 0
    delete_on_termination = true
  }

  network {
    port = openstack_networking_port_v2.this.id
  }

  dynamic "scheduler_hints" {
    for_each = var.server_group[*]
    content {
      group = scheduler_hints.value
    }
  }

  lifecycle {
    # A new image is for new nodes only, and so is what only the first boot reads.
    ignore_changes = [block_device[0].uuid, user_data]
  }
}

resource "openstack_compute_volume_attach_v2" "data" {
  for_each = var.volumes

  instance_id = openstack_compute_instance_v2.this.id
  volume_id   = each.value
}

resource "openstack_networking_floatingip_v2" "this" {
  count = var.floating_pool == null ? 0 : 1

  pool    = var.floating_pool
  port_id = openstack_networking_port_v2.this.id
  tags    = var.tags
}
