# SPDX-License-Identifier: Apache-2.0
# Queries write nothing to a GPU: the node itself fails if BAR0 is written even once.
node='--gpus 2 --forbid-bar-writes'
guest() {
  vfio-manage bind --all
  gpuhostctl status
  expect "modes" "off off" "$(modes)"
  cc-manager --standalone --once --mode on --dry-run
}
