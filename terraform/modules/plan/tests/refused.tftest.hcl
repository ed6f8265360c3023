# Each run makes one mistake in a topology that is right.
variables {
  topology = {
    environment = "try"
    provider    = "libvirt"
    domain      = "try.example"
    network     = { cidr = "192.0.2.0/24", gateway = "192.0.2.1" }
    nodes       = { kafka-1 = { groups = ["kafka"], address = "192.0.2.11", cores = 2, memory = 2048, disk = 10 } }
  }
}

run "no_nodes" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = {} })
  }
}

run "an_environment_with_capitals" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { environment = "Try" })
  }
}

run "an_environment_with_a_long_name" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { environment = "a23456789012345678901234567890123" })
  }
}

run "a_node_with_capitals" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { "Kafka-1" = var.topology.nodes["kafka-1"] } })
  }
}

run "a_node_with_a_dot" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { "kafka.1" = var.topology.nodes["kafka-1"] } })
  }
}

run "a_node_named_like_a_group" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka = var.topology.nodes["kafka-1"] } })
  }
}

run "a_node_without_groups" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = merge(var.topology.nodes["kafka-1"], { groups = [] }) } })
  }
}

run "half_a_core" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = merge(var.topology.nodes["kafka-1"], { cores = 0.5 }) } })
  }
}

run "no_memory" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = merge(var.topology.nodes["kafka-1"], { memory = 0 }) } })
  }
}

run "no_root_disk" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = merge(var.topology.nodes["kafka-1"], { disk = 0 }) } })
  }
}

run "an_empty_data_disk" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = merge(var.topology.nodes["kafka-1"], { data = { kafka = 0 } }) } })
  }
}

run "a_data_disk_with_a_slash" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = merge(var.topology.nodes["kafka-1"], { data = { "kafka/1" = 10 } }) } })
  }
}

run "an_address_outside_the_network" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = merge(var.topology.nodes["kafka-1"], { address = "198.51.100.11" }) } })
  }
}

run "no_address" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = merge(var.topology.nodes["kafka-1"], { address = "kafka" }) } })
  }
}

run "the_networks_own_address" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = merge(var.topology.nodes["kafka-1"], { address = "192.0.2.0" }) } })
  }
}

run "the_broadcast_address" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = merge(var.topology.nodes["kafka-1"], { address = "192.0.2.255" }) } })
  }
}

run "the_gateways_address" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = merge(var.topology.nodes["kafka-1"], { address = "192.0.2.1" }) } })
  }
}

run "two_nodes_with_one_address" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { nodes = { kafka-1 = var.topology.nodes["kafka-1"], kafka-2 = var.topology.nodes["kafka-1"] } })
  }
}

run "a_network_with_host_bits" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { network = { cidr = "192.0.2.1/24", gateway = "192.0.2.1" } })
  }
}

run "no_network" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { network = { cidr = "192.0.2.0", gateway = "192.0.2.1" } })
  }
}

run "a_gateway_outside_the_network" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { network = { cidr = "192.0.2.0/24", gateway = "198.51.100.1" } })
  }
}

run "an_operator_by_name" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { operator_sources = ["office.example"] })
  }
}

run "everyone_an_operator" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = merge(var.topology, { operator_sources = ["0.0.0.0/0"] })
  }
}
