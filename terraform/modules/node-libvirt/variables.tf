variable "name" {
  description = "Name of the node; also its host name."
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
  description = "IPv4 address of the node."
  type        = string
  nullable    = false
}

variable "network" {
  description = "The plan's network: prefix length, gateway and domain are what a node needs of it."
  type = object({
    prefix  = number
    gateway = string
    domain  = string
  })
  nullable = false
}

variable "network_id" {
  description = "Id of the libvirt network."
  type        = string
  nullable    = false
}

variable "cores" {
  description = "Virtual processors."
  type        = number
  nullable    = false
}

variable "memory" {
  description = "Memory in MiB."
  type        = number
  nullable    = false
}

variable "disk" {
  description = "Size of the root disk in GiB."
  type        = number
  nullable    = false
}

variable "pool" {
  description = "Name of the storage pool."
  type        = string
  nullable    = false
}

variable "image_id" {
  description = "Id of the volume that a new root disk is a layer over."
  type        = string
  nullable    = false
}

variable "volumes" {
  description = "Ids of the node's data volumes by the name of the data disk."
  type        = map(string)
  default     = {}
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

variable "owner" {
  description = "Owner id of the environment's state; the domain's description has it."
  type        = string
  nullable    = false
}

variable "acceleration" {
  description = "Type of the domain: kvm, or qemu for TCG."
  type        = string
  nullable    = false
}

variable "boot" {
  description = "Kernel, initrd and command line of an image without a boot loader; null where it boots by itself."
  type = object({
    kernel  = string
    initrd  = string
    cmdline = map(string)
  })
  default = null
}
