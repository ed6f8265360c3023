# Every node module (lab, and those for virtual machines and clouds) takes these inputs and gives the outputs of outputs.tf.

variable "name" {
  description = "Name of the node; also its host name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.name))
    error_message = "A node's name is lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "environment" {
  description = "Environment that the node belongs to; its Incus project is millrace-ENVIRONMENT."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$", var.environment))
    error_message = "An environment's name is lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "address" {
  description = "IPv4 address of the node; null where the provider assigns it, which the lab doesn't."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrnetmask("${var.address}/32"))
    error_message = "The address is an IPv4 address such as 10.77.0.11."
  }
}

variable "cores" {
  description = "Processor cores that the node may use."
  type        = number
  nullable    = false

  validation {
    condition     = var.cores >= 1 && floor(var.cores) == var.cores
    error_message = "A node has at least one core, and whole ones."
  }
}

variable "memory" {
  description = "Memory limit in MiB."
  type        = number
  nullable    = false

  validation {
    condition     = var.memory >= 128 && floor(var.memory) == var.memory
    error_message = "A node has at least 128 MiB, and whole ones."
  }
}

variable "disk" {
  description = "Size of the root disk in GiB. A storage pool of type dir without project quotas cannot enforce it."
  type        = number
  nullable    = false

  validation {
    condition     = var.disk >= 1 && floor(var.disk) == var.disk
    error_message = "A node has at least 1 GiB of disk, and whole ones."
  }
}

variable "groups" {
  description = "Groups of the service catalogue that the node is in; clouds make labels of them."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.groups) > 0
    error_message = "A node is in at least one group, otherwise nothing runs on it."
  }
}

variable "ssh_public_key" {
  description = "Public key that may log in as the user millrace."
  type        = string
  nullable    = false

  validation {
    condition     = startswith(var.ssh_public_key, "ssh-ed25519 ")
    error_message = "The key is an ed25519 public key in OpenSSH's one-line form."
  }
}

variable "owner" {
  description = "Owner id of the environment's state; a node with another one is never touched."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f-]{36}$", var.owner))
    error_message = "The owner id is a UUID."
  }
}

variable "image" {
  description = "Image that new nodes are made from; another image doesn't replace a node that exists."
  type        = string
  nullable    = false
}

variable "sudo" {
  description = "Whether the incus client needs sudo."
  type        = bool
  default     = false
}
