# A small environment with everything in it; each run changes one thing.
variables {
  topology = {
    environment      = "try"
    provider         = "openstack"
    domain           = "try.example"
    network          = { cidr = "192.0.2.0/24", gateway = "192.0.2.1" }
    operator_sources = ["198.51.100.7", "203.0.113.0/24"]
    nodes = {
      kafka-1 = { groups = ["kafka"], address = "192.0.2.11", cores = 2, memory = 2048, disk = 10, data = { kafka = 20 } }
      kafka-2 = { groups = ["kafka"], address = "192.0.2.12", cores = 2, memory = 2048, disk = 10, data = { kafka = 20 } }
      worker  = { groups = ["spark_workers", "hdfs_datanodes"], address = "192.0.2.21", cores = 4, memory = 4096, disk = 10, data = { hdfs = 40 } }
      jump    = { groups = ["bastion"], address = "192.0.2.2", cores = 1, memory = 512, disk = 5 }
      web-1   = { groups = ["web"], address = "192.0.2.31", cores = 1, memory = 512, disk = 5 }
    }
  }
  public = {
    site = { group = "web", port = 443, sources = ["203.0.113.0/24", "198.51.100.0/25"] }
  }
}

run "nodes" {
  command = plan

  assert {
    condition     = length(output.nodes) == 5 && output.nodes["worker"].host_name == "worker.try.example" && output.nodes["worker"].groups == tolist(["hdfs_datanodes", "spark_workers"])
    error_message = "Each node has its host name and its groups."
  }
  assert {
    condition     = output.groups["kafka"] == tolist(["kafka-1", "kafka-2"]) && output.memory == 9216
    error_message = "Groups list their nodes, and the memory is the sum."
  }
  assert {
    condition     = output.network.prefix == 24 && output.network.bridge == null
    error_message = "The network has a prefix length, and no bridge where the topology names none."
  }
}

run "disks" {
  command = plan

  assert {
    condition     = toset(keys(output.data)) == toset(["kafka-1/kafka", "kafka-2/kafka", "worker/hdfs"]) && jsonencode(output.data["worker/hdfs"]) == jsonencode({ node = "worker", name = "hdfs", size = 40 })
    error_message = "Each data disk is a volume of its own."
  }
}

run "rules" {
  command = plan

  assert {
    condition     = jsonencode(output.rules["ssh from 198.51.100.7"]) == jsonencode({ nodes = ["jump"], port = 22, source = "198.51.100.7/32" })
    error_message = "With a jump host, SSH comes in there alone."
  }
  assert {
    condition     = toset(keys(output.rules)) == toset(["ssh from 198.51.100.7", "ssh from 203.0.113.0/24", "site from 203.0.113.0/24", "site from 198.51.100.0/25"])
    error_message = "Nothing else comes in."
  }
  assert {
    condition     = output.rules["site from 203.0.113.0/24"].nodes == tolist(["web-1"]) && output.rules["site from 203.0.113.0/24"].port == 443
    error_message = "What is public is for the nodes of its group."
  }
}

run "placement" {
  command = plan

  assert {
    condition     = jsonencode(output.placement) == jsonencode({ kafka = ["kafka-1", "kafka-2"] }) && output.nodes["worker"].spread == null
    error_message = "Brokers are spread; a group of one is not."
  }
}

run "a_grown_disk" {
  command = plan
  variables {
    existing_data = { "kafka-1/kafka" = 10, "worker/hdfs" = 40 }
  }
  assert {
    condition     = output.data["kafka-1/kafka"].size == 20
    error_message = "A disk may grow."
  }
}

run "a_lost_disk" {
  command         = plan
  expect_failures = [output.data]
  variables {
    existing_data = { "kafka-3/kafka" = 20 }
  }
}

run "a_released_disk" {
  command = plan
  variables {
    existing_data = { "kafka-3/kafka" = 20 }
    release_data  = ["kafka-3/kafka"]
  }
  assert {
    condition     = !contains(keys(output.data), "kafka-3/kafka")
    error_message = "A disk that is released is gone."
  }
}

run "a_released_disk_in_use" {
  command         = plan
  expect_failures = [output.data]
  variables {
    release_data = ["kafka-1/kafka"]
  }
}

run "a_shrunk_disk" {
  command         = plan
  expect_failures = [output.data]
  variables {
    existing_data = { "worker/hdfs" = 41 }
  }
}

run "public_for_nobody" {
  command         = plan
  expect_failures = [output.rules]
  variables {
    public = { site = { group = "proxy", port = 443, sources = ["203.0.113.0/24"] } }
  }
}

run "public_for_everyone" {
  command         = plan
  expect_failures = [var.public]
  variables {
    public = { site = { group = "web", port = 443, sources = ["0.0.0.0/0"] } }
  }
}

run "public_without_sources" {
  command         = plan
  expect_failures = [var.public]
  variables {
    public = { site = { group = "web", port = 443, sources = [] } }
  }
}

run "public_without_port" {
  command         = plan
  expect_failures = [var.public]
  variables {
    public = { site = { group = "web", port = 65536, sources = ["203.0.113.0/24"] } }
  }
}

run "without_a_jump_host" {
  command = plan
  variables {
    topology = merge(var.topology, { nodes = { for name, node in var.topology.nodes : name => node if name != "jump" } })
  }
  assert {
    condition     = length(output.bastions) == 0 && output.rules["ssh from 198.51.100.7"].nodes == tolist(["kafka-1", "kafka-2", "web-1", "worker"])
    error_message = "Without a jump host, SSH comes in at every node."
  }
}

run "a_grown_disk_that_would_be_replaced" {
  command         = plan
  expect_failures = [output.data]
  variables {
    existing_data = { "worker/hdfs" = 39 }
    grows         = false
  }
}

run "a_group_that_nobody_is_in" {
  command = plan
  variables {
    spread = ["nobody", "kafka"]
  }
  assert {
    condition     = output.nodes["kafka-1"].spread == "kafka"
    error_message = "A group without nodes is no obstacle to the next one."
  }
}
