# No provider: this module computes, so its tests run anywhere and offline.
terraform {
  required_version = ">= 1.5.0"
}
