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

run "a_topology_without_operators" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = "tests/closed.yml"
  }
}
