# Plans only: an apply would make containers.
variables {
  topology       = "tests/topology.yml"
  ssh_public_key = "ssh-ed25519 AAAA try"
  owner          = "00000000-0000-0000-0000-000000000000"
  image          = "millrace-base"
}

run "outputs" {
  command = plan

  assert {
    condition     = jsonencode(output.nodes["kafka-1"]) == jsonencode({ address = "192.0.2.11", public = null, data = {} })
    error_message = "A container has its address, and no disk of its own."
  }
  assert {
    condition     = length(output.nodes) == 2 && length(output.bastions) == 0
    error_message = "Each node is reached from this machine."
  }
}

run "no_topology" {
  command         = plan
  expect_failures = [var.topology]
  variables {
    topology = "tests/lab.tftest.hcl"
  }
}
