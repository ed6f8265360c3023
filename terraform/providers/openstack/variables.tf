variable "topology" {
  description = "Path of the environment's topology.yml, the only list of nodes."
  type        = string
  nullable    = false

  validation {
    condition     = can(yamldecode(file(var.topology)).nodes)
    error_message = "The topology is a YAML file with the key nodes."
  }
  validation {
    condition     = can(yamldecode(file(var.topology)).openstack.cloud) && can(yamldecode(file(var.topology)).openstack.external_network) && can(yamldecode(file(var.topology)).openstack.flavors.default)
    error_message = "The topology's key openstack names cloud (an entry of clouds.yaml), external_network, and flavors with a default."
  }
  validation {
    condition     = try(length(yamldecode(file(var.topology)).operator_sources) > 0, false)
    error_message = "The topology's operator_sources names who may use SSH: through a cloud's gateway, everyone comes."
  }
}

variable "ssh_public_key" {
  description = "Public key of the environment, in OpenSSH's one-line form."
  type        = string
  nullable    = false

  validation {
    condition     = startswith(var.ssh_public_key, "ssh-ed25519 ")
    error_message = "The key is an ed25519 public key in OpenSSH's one-line form."
  }
}

variable "host_keys" {
  description = "Each node's SSH host key by name, made on the operator's machine: private in OpenSSH's PEM form, public in one line."
  type = map(object({
    private = string
    public  = string
  }))
  sensitive = true
  nullable  = false
}

variable "running" {
  description = "Whether the servers run; else they are shut off, and keep their disks."
  type        = bool
  default     = true
  nullable    = false
}

variable "owner" {
  description = "Owner id of the environment's state (a UUID)."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f-]{36}$", var.owner))
    error_message = "The owner id is a UUID."
  }
}

variable "image" {
  description = "Name of the cloud's image that new nodes are made from."
  type        = string
  nullable    = false
}

variable "existing_data" {
  description = "Sizes in GiB, by NODE/DISK, of the data disks that the state holds."
  type        = map(number)
  default     = {}
  nullable    = false
}

variable "release_data" {
  description = "Data disks, as NODE/DISK, that may be destroyed with all that they hold."
  type        = set(string)
  default     = []
  nullable    = false
}
