variable "topology" {
  description = "Path of the environment's topology.yml, the only list of nodes."
  type        = string
  nullable    = false

  validation {
    condition     = can(yamldecode(file(var.topology)).nodes)
    error_message = "The topology is a YAML file with the key nodes."
  }
}

variable "ssh_public_key" {
  description = "Public key of the environment, in OpenSSH's one-line form."
  type        = string
  nullable    = false
}

variable "owner" {
  description = "Owner id of the environment's state (a UUID)."
  type        = string
  nullable    = false
}

variable "image" {
  description = "Alias of the Incus image that new nodes are made from."
  type        = string
  nullable    = false
}

variable "sudo" {
  description = "Whether the incus client needs sudo."
  type        = bool
  default     = false
}

variable "existing_data" {
  description = "Sizes in GiB, by NODE/DISK, of the data disks that the state holds; the lab has none."
  type        = map(number)
  default     = {}
  nullable    = false
}

variable "release_data" {
  description = "Data disks, as NODE/DISK, that may be destroyed with all that they hold; the lab has none."
  type        = set(string)
  default     = []
  nullable    = false
}
