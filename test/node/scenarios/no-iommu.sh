# SPDX-License-Identifier: Apache-2.0
# Without an IOMMU nothing is bound, and the remedy is named.
node='--gpus 2 --no-iommu'
guest() {
  fails 4 vfio-manage bind --all
  expect_text "remedy" 'intel_iommu=on or amd_iommu=on' "$output"
  expect "nothing bound" "none none" "$(drivers)"
  expect "no override left" '(null)' "$(cat "/sys/bus/pci/devices/$(bdf 0)/driver_override")"
}
