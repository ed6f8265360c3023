variable "name" {
  description = "Name of the node."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "Environment that the node belongs to."
  type        = string
  nullable    = false
}

variable "host_name" {
  description = "Full host name of the node."
  type        = string
  nullable    = false
}

variable "address" {
  description = "IPv4 address of the node in the environment's network."
  type        = string
  nullable    = false
}

variable "disk" {
  description = "Size of the root disk in GiB."
  type        = number
  nullable    = false
}

variable "flavor" {
  description = "Name of the cloud's flavour: it has the cores and the memory."
  type        = string
  nullable    = false
}

variable "image_id" {
  description = "Id of the image that a new root disk is made from."
  type        = string
  nullable    = false
}

variable "key_pair" {
  description = "Name of the key pair, for images that take their key from the metadata service alone."
  type        = string
  nullable    = false
}

variable "ssh_public_key" {
  description = "Public key that may log in as the user millrace."
  type        = string
  nullable    = false
}

variable "host_key" {
  description = "The SSH host key that the node gets at its first boot: private in OpenSSH's PEM form, public in one line."
  type = object({
    private = string
    public  = string
  })
  sensitive = true
  nullable  = false
}

variable "running" {
  description = "Whether the server runs; else it is shut off, and keeps its disks."
  type        = bool
  default     = true
  nullable    = false
}

variable "network_id" {
  description = "Id of the network."
  type        = string
  nullable    = false
}

variable "subnet_id" {
  description = "Id of the subnet that the address is in."
  type        = string
  nullable    = false
}

variable "security_groups" {
  description = "Ids of the port's security groups."
  type        = list(string)
  nullable    = false
}

variable "server_group" {
  description = "Id of the server group with anti-affinity; null for none."
  type        = string
  default     = null
}

variable "volumes" {
  description = "Ids of the node's data volumes by the name of the data disk."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "floating_pool" {
  description = "Name of the network that a floating address comes from; null for a node without one."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything that is the node's."
  type        = list(string)
  default     = []
  nullable    = false
}
