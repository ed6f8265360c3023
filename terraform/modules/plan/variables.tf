variable "topology" {
  description = "The environment's topology.yml, decoded. Memory is in MiB, disks are in GiB."
  nullable    = false
  type = object({
    environment = string
    provider    = string
    domain      = string
    network = object({
      cidr    = string
      gateway = string
      bridge  = optional(string)
    })
    operator_sources = optional(list(string), [])
    nodes = map(object({
      groups  = list(string)
      address = string
      cores   = number
      memory  = number
      disk    = number
      # Data disks by what they hold: a volume of its own each, which outlives the node.
      data       = optional(map(number), {})
      disposable = optional(bool, false)
    }))
  })

  validation {
    condition     = length(var.topology.nodes) > 0
    error_message = "The topology names at least one node."
  }
  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$", var.topology.environment))
    error_message = "An environment's name is at most 32 lower-case letters, digits and hyphens, beginning with a letter."
  }
  validation {
    condition     = alltrue([for name, _ in var.topology.nodes : can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", name))])
    error_message = "A node's name is lower-case letters, digits and hyphens, beginning with a letter."
  }
  validation {
    condition     = alltrue([for node in var.topology.nodes : length(node.groups) > 0])
    error_message = "A node is in at least one group, otherwise nothing runs on it."
  }
  validation {
    condition     = length(setintersection(keys(var.topology.nodes), flatten([for node in var.topology.nodes : node.groups]))) == 0
    error_message = "A node does not have the name of a group."
  }
  validation {
    condition = alltrue([
      for node in var.topology.nodes :
      node.cores >= 1 && floor(node.cores) == node.cores && node.memory >= 128 && floor(node.memory) == node.memory && node.disk >= 1 && floor(node.disk) == node.disk
    ])
    error_message = "A node has whole numbers: at least 1 core, 128 MiB of memory and 1 GiB of disk."
  }
  validation {
    condition = alltrue(flatten([
      for node in var.topology.nodes : [for name, size in node.data : can(regex("^[a-z][a-z0-9]{0,14}$", name)) && size >= 1 && floor(size) == size]
    ]))
    error_message = "A data disk has a name of at most 15 lower-case letters and digits, and whole GiB, at least one."
  }
  validation {
    condition     = can(cidrhost(var.topology.network.cidr, 0)) && try(cidrhost(var.topology.network.cidr, 0) == split("/", var.topology.network.cidr)[0], false)
    error_message = "The network is an IPv4 network such as 10.77.0.0/24, with no bits set beyond its prefix."
  }
  validation {
    condition = alltrue([
      for address in concat([var.topology.network.gateway], values(var.topology.nodes)[*].address) :
      can(cidrnetmask("${address}/32")) && try(cidrhost("${address}/${split("/", var.topology.network.cidr)[1]}", 0) == cidrhost(var.topology.network.cidr, 0), false)
    ])
    error_message = "The gateway and every node's address are IPv4 addresses in the network."
  }
  validation {
    condition = length(setintersection(
      concat([var.topology.network.gateway], values(var.topology.nodes)[*].address),
      [try(cidrhost(var.topology.network.cidr, 0), ""), try(cidrhost(var.topology.network.cidr, -1), "")],
    )) == 0
    error_message = "Neither the network's own address nor its broadcast address belongs to a node or the gateway."
  }
  validation {
    condition     = length(distinct(concat([var.topology.network.gateway], values(var.topology.nodes)[*].address))) == length(var.topology.nodes) + 1
    error_message = "Two nodes, or a node and the gateway, have one address."
  }
  validation {
    condition     = alltrue([for source in var.topology.operator_sources : can(cidrnetmask(strcontains(source, "/") ? source : "${source}/32"))])
    error_message = "Each of operator_sources is an IPv4 address or network such as 192.0.2.0/24."
  }
  validation {
    condition     = !anytrue([for source in var.topology.operator_sources : try(tonumber(split("/", source)[1]), 32) == 0])
    error_message = "operator_sources names who may use SSH; a prefix of /0 is everyone."
  }
}

variable "existing_data" {
  description = "Sizes in GiB, by NODE/DISK, of the data disks that exist. Each must be in the topology, or be released by name; none shrinks."
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

variable "grows" {
  description = "Whether the provider grows a data disk in place; where it doesn't, another size would replace it."
  type        = bool
  default     = true
  nullable    = false
}

variable "spread" {
  description = "Groups whose nodes must not share a host, the most important first; a node counts for the first that it is in."
  type        = list(string)
  default     = ["kafka", "hdfs_datanodes"]
  nullable    = false
}

variable "public" {
  description = "What is reached from outside, by name: a group, its TCP port, and from where."
  type = map(object({
    group   = string
    port    = number
    sources = list(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for entry in var.public : entry.port >= 1 && entry.port <= 65535 && floor(entry.port) == entry.port])
    error_message = "A port is a whole number from 1 to 65535."
  }
  validation {
    condition     = alltrue([for entry in var.public : length(entry.sources) > 0 && alltrue([for source in entry.sources : can(cidrnetmask(source))])])
    error_message = "What is public names its sources as IPv4 networks such as 192.0.2.0/24."
  }
  validation {
    condition     = !anytrue(flatten([for entry in var.public : [for source in entry.sources : try(split("/", source)[1] == "0", false)]]))
    error_message = "A source of /0 is everyone; name the networks that may come."
  }
}
