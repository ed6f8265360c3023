terraform {
  required_version = ">= 1.7.0"

  required_providers {
    openstack = {
      source  = "terraform-provider-openstack/openstack"
      version = "3.4.0"
    }
  }

  # Where the state is comes from the caller (-backend-config=path=…): outside the clone, with the environment's other state.
  backend "local" {}
}

# Credentials come from clouds.yaml alone (OS_CLIENT_CONFIG_FILE, or one of the places where the client looks); no variable takes any.
provider "openstack" {
  cloud = local.settings.cloud
}
