# SPDX-License-Identifier: Apache-2.0
# GPUs are bound to vfio-pci, VFIO groups appear, and unbinding takes it all back.
node='--gpus 2'
guest() {
  expect "two H100 on the bus" 2 "$(lspci -nnd 10de:2331 | wc -l)"
  expect "no driver at first" "none none" "$(drivers)"
  vfio-manage bind --all
  expect "both on vfio-pci" "vfio-pci vfio-pci" "$(drivers)"
  expect "lspci agrees" 2 "$(lspci -nnkd 10de: | grep -c 'Kernel driver in use: vfio-pci')"
  for d in $(bdf 0) $(bdf 1); do
    group=$(basename "$(readlink "/sys/bus/pci/devices/$d/iommu_group")")
    expect "$d has its VFIO group" yes "$([ -c "/dev/vfio/$group" ] && echo yes)"
    # The kernel with iommufd is built without power management.
    [ ! -e "/sys/bus/pci/devices/$d/power/control" ] ||
      expect "$d stays awake" on "$(cat "/sys/bus/pci/devices/$d/power/control")"
  done
  expect "a second bind plans nothing" 0 "$(vfio-manage bind --all --dry-run | grep -c write || true)"
  vfio-manage unbind --all
  expect "no driver again" "none none" "$(drivers)"
  vfio-manage bind --device-id "$(bdf 1)"
  expect "one device alone" "none vfio-pci" "$(drivers)"
}
