# Against a stand-in for the cloud: what would be asked of it, not whether it would give it (docs/untested.md).
mock_provider "openstack" {
  mock_resource "openstack_blockstorage_volume_v3" {
    defaults = { id = "11111111-2222-3333-4444-555555555555" }
  }
  mock_resource "openstack_networking_floatingip_v2" {
    defaults = { address = "198.51.100.200" }
  }
}

variables {
  topology       = "tests/topology.yml"
  ssh_public_key = "ssh-ed25519 AAAA try"
  owner          = "00000000-0000-0000-0000-000000000000"
  image          = "debian-13"
  host_keys = {
    jump    = { private = "private of jump", public = "ssh-ed25519 jump" }
    kafka-1 = { private = "private of kafka-1", public = "ssh-ed25519 kafka-1" }
    kafka-2 = { private = "private of kafka-2", public = "ssh-ed25519 kafka-2" }
    db-1    = { private = "private of db-1", public = "ssh-ed25519 db-1" }
  }
}

run "outputs" {
  assert {
    condition     = jsonencode(output.nodes["kafka-1"]) == jsonencode({ address = "192.0.2.11", public = null, data = { kafka = "/dev/disk/by-id/virtio-11111111-2222-3333-4" } })
    error_message = "A node has its address, no floating one, and a stable path for its disk."
  }
  assert {
    condition     = output.nodes["jump"].public == "198.51.100.200" && output.bastions == tolist(["jump"])
    error_message = "The jump host alone has a floating address."
  }
}

run "security_groups" {
  assert {
    condition     = toset([for rule in openstack_networking_secgroup_rule_v2.outside : "${rule.protocol} ${rule.port_range_min}-${rule.port_range_max} ${rule.remote_ip_prefix}"]) == toset(["tcp 22-22 198.51.100.0/24"])
    error_message = "From outside comes SSH of the operators, and nothing else."
  }
  assert {
    condition     = length(module.node["jump"].security_groups) == 2 && length(module.node["kafka-1"].security_groups) == 1
    error_message = "It comes in at the jump host alone."
  }
  assert {
    condition     = openstack_networking_secgroup_v2.inside.delete_default_rules && openstack_networking_network_v2.this.port_security_enabled
    error_message = "No rule but ours, and no packet with another's address."
  }
}

run "placement" {
  assert {
    condition     = jsonencode({ for group, made in openstack_compute_servergroup_v2.spread : group => made.policies }) == jsonencode({ kafka = ["anti-affinity"] })
    error_message = "The brokers share no host."
  }
  assert {
    condition     = module.node["kafka-1"].flavor == "large" && module.node["db-1"].flavor == "small"
    error_message = "A tier has its flavour."
  }
}

run "first_boot" {
  module {
    source = "../../modules/node-openstack"
  }
  variables {
    name            = "jump"
    environment     = "try"
    host_name       = "jump.try.example"
    address         = "192.0.2.2"
    disk            = 5
    flavor          = "small"
    image_id        = "image"
    key_pair        = "key"
    host_key        = { private = "private\nkey\n", public = "ssh-ed25519 jump" }
    network_id      = "network"
    subnet_id       = "subnet"
    security_groups = []
    running         = false
  }
  assert {
    condition     = startswith(nonsensitive(openstack_compute_instance_v2.this.user_data), "#cloud-config\n")
    error_message = "What the first boot reads is cloud-config."
  }
  assert {
    condition     = jsonencode(yamldecode(nonsensitive(openstack_compute_instance_v2.this.user_data)).ssh_keys) == jsonencode({ ed25519_private = "private\nkey\n", ed25519_public = "ssh-ed25519 jump" })
    error_message = "The node has the host key that was made for it."
  }
  assert {
    condition     = yamldecode(nonsensitive(openstack_compute_instance_v2.this.user_data)).users[0].ssh_authorized_keys == ["ssh-ed25519 AAAA try"]
    error_message = "The operator's key may log in."
  }
  assert {
    condition     = openstack_compute_instance_v2.this.power_state == "shutoff"
    error_message = "A node that is not to run is shut off."
  }
}

run "a_topology_without_operators" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = "tests/closed.yml"
  }
}
