# SPDX-License-Identifier: Apache-2.0
# A device that vfio-pci does not take goes back to the driver and the override that it had.
node='--gpus 2'
guest() {
  modprobe pci-stub
  modprobe vfio-pci
  echo pci-stub >"/sys/bus/pci/devices/$(bdf 0)/driver_override"
  bdf 0 >/sys/bus/pci/drivers/pci-stub/bind
  mount --bind /dev/full /sys/bus/pci/drivers/vfio-pci/bind
  fails 3 vfio-manage bind --all
  expect_text "the write is named" "$(bdf 0).*/sys/bus/pci/drivers/vfio-pci/bind" "$output"
  expect "drivers" "pci-stub none" "$(drivers)"
  expect "override of the first" pci-stub "$(cat "/sys/bus/pci/devices/$(bdf 0)/driver_override")"
  expect "override of the second" '(null)' "$(cat "/sys/bus/pci/devices/$(bdf 1)/driver_override")"
  umount /sys/bus/pci/drivers/vfio-pci/bind
  vfio-manage bind --all
  expect "and then it works" "vfio-pci vfio-pci" "$(drivers)"
}
