terraform {
  required_version = ">= 1.5.0"

  # Where the state is comes from the caller (-backend-config=path=…): outside the clone, with the environment's other state.
  backend "local" {}
}
