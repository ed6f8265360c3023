module provider

go 1.23

require github.com/dmacvicar/terraform-provider-libvirt v0.8.3
