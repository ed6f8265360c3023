# One node as an Incus container.
#
# terraform_data runs nothing when `input` changes. So what makes a node another node stands in
# triggers_replace of the first resource, and what can be changed on a living node in that of the
# second one, which is replaced (and thereby run again) without touching the container's data.

locals {
  scripts = "${path.module}/scripts"
  identity = {
    name    = var.name
    project = "millrace-${var.environment}"
    owner   = var.owner
    sudo    = var.sudo ? "1" : ""
  }
  # A node is heard with its own MAC and its own IPv4 address alone, and with no IPv6 one: the lab's bridge has none.
  # Nodes are not isolated from one another: they are there to talk, and their firewalls say of what.
  filters = join(" ", [for what in ["mac", "ipv4", "ipv6"] : "security.${what}_filtering=true"])
}

resource "terraform_data" "instance" {
  triggers_replace = local.identity
  input            = { image = var.image, groups = var.groups }

  lifecycle {
    # A new image is for new nodes only: replacing a database because of a new base package would lose its data.
    ignore_changes = [input]
  }

  provisioner "local-exec" {
    command = "bash ${local.scripts}/create.sh"
    environment = {
      NODE    = self.triggers_replace.name
      PROJECT = self.triggers_replace.project
      OWNER   = self.triggers_replace.owner
      SUDO    = self.triggers_replace.sudo
      IMAGE   = self.input.image
    }
  }

  # A destroy provisioner may refer to nothing but `self`; the path is relative to the environment's directory.
  provisioner "local-exec" {
    when    = destroy
    command = "bash ${path.module}/scripts/delete.sh"
    environment = {
      NODE    = self.triggers_replace.name
      PROJECT = self.triggers_replace.project
      OWNER   = self.triggers_replace.owner
      SUDO    = self.triggers_replace.sudo
    }
  }
}

resource "terraform_data" "settings" {
  triggers_replace = {
    instance = terraform_data.instance.id
    address  = var.address
    cores    = var.cores
    memory   = var.memory
    # The pool of the lab (dir) cannot hold a node to this size; pools with quotas do.
    disk    = var.disk
    key     = var.ssh_public_key
    filters = local.filters
  }

  provisioner "local-exec" {
    command = "bash ${local.scripts}/configure.sh"
    environment = {
      NODE    = local.identity.name
      PROJECT = local.identity.project
      SUDO    = local.identity.sudo
      ADDRESS = self.triggers_replace.address
      CORES   = self.triggers_replace.cores
      MEMORY  = self.triggers_replace.memory
      DISK    = self.triggers_replace.disk
      KEY     = self.triggers_replace.key
      FILTERS = self.triggers_replace.filters
    }
  }
}
