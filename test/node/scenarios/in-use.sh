# SPDX-License-Identifier: Apache-2.0
# A GPU whose VFIO group is open is neither switched nor unbound; when it is free again, it is. Whoever
# cannot see all processes moves nothing, and says what is missing.
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
  vfio-manage bind --all
  fails 3 unshare --pid --fork --mount-proc vfio-manage unbind --all
  expect_text "a PID namespace of its own" "hostPID: true" "$output"
  fails 3 setpriv --bounding-set=-sys_ptrace vfio-manage unbind --all
  expect_text "a capability" "run with CAP_SYS_PTRACE" "$output"
  expect "both stay" "vfio-pci vfio-pci" "$(drivers)"
  vfio-manage unbind --device-id "$(bdf 0)"
  exec 9>&-
  switch on
  expect "switched" "on on" "$(modes)"
}
