variable "topology" {
  description = "Path of the environment's topology.yml, the only list of nodes."
  type        = string
  nullable    = false

  validation {
    condition     = can(yamldecode(file(var.topology)).nodes)
    error_message = "The topology is a YAML file with the key nodes."
  }
  validation {
    condition     = can(yamldecode(file(var.topology)).network.bridge)
    error_message = "The topology's network names the bridge that libvirt makes for it."
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
  description = "Path of the image that new nodes are made from: a qcow2 or raw file whose root file system grows to its disk."
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

variable "uri" {
  description = "The libvirt daemon that makes the nodes."
  type        = string
  default     = "qemu:///system"
  nullable    = false
}

variable "acceleration" {
  description = "Type of the domains: kvm, or qemu where the host has no hardware virtualisation (TCG, about ten times slower)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["kvm", "qemu"], var.acceleration)
    error_message = "The type of a domain is kvm or qemu."
  }
}

variable "pool" {
  description = "Directory of the storage pool that all volumes of the environment lie in."
  type        = string
  nullable    = false

  validation {
    condition     = startswith(var.pool, "/")
    error_message = "The pool's directory is an absolute path."
  }
}

variable "boot" {
  description = "Kernel and initrd of an image that has no boot loader, and the kernel's command line; null where the image boots by itself."
  type = object({
    kernel  = string
    initrd  = string
    cmdline = map(string)
  })
  default = null
}
