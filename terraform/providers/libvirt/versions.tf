terraform {
  required_version = ">= 1.7.0"

  required_providers {
    libvirt = {
      source  = "dmacvicar/libvirt"
      version = "0.8.3"
    }
  }

  # Where the state is comes from the caller (-backend-config=path=…): outside the clone, with the environment's other state.
  backend "local" {}
}

provider "libvirt" {
  uri = var.uri
}
