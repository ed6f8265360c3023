"""Where nodes come from: one package for each provider, and Terraform, which all of them use."""
