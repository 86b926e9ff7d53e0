# SPDX-License-Identifier: Apache-2.0
# A GPU whose VFIO group is open is neither switched nor unbound; when it is free again, it is.
node='--gpus 2 --boot-ms 300'
guest() {
  vfio-manage bind --all
  group=$(basename "$(readlink "/sys/bus/pci/devices/$(bdf 1)/iommu_group")")
  exec 9<>"/dev/vfio/$group"
  fails 3 switch on
  expect_text "the holder is named" "$(bdf 1): in use by bash \(pid $$\)" "$output"
  expect "nothing switched" "off off" "$(modes)"
  fails 3 vfio-manage unbind --all
  expect "the one in use stays" "none vfio-pci" "$(drivers)"
  exec 9>&-
  switch on
  expect "switched" "on on" "$(modes)"
}
