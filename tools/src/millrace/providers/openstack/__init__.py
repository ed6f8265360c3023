"""OpenStack as a provider: servers of a cloud, by Terraform alone."""
