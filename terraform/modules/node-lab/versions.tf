# terraform_data and its local-exec are built in, so `terraform init` downloads nothing. Works with Terraform and OpenTofu.
terraform {
  required_version = ">= 1.5.0"
}
