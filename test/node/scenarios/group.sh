# SPDX-License-Identifier: Apache-2.0
# A GPU that shares its IOMMU group with another vendor's device: bound only when that is out of the
# way, and that device is never written.
node='--gpus 2 --foreign-member'
guest() {
  foreign=0000:01:00.7
  expect "the foreign member has its driver" virtio-pci "$(basename "$(readlink /sys/bus/pci/devices/$foreign/driver)")"
  fails 3 vfio-manage bind --all
  expect_text "it is named" "group [0-9]+ is not viable: $foreign \(1af4:[0-9a-f]+\).*driver virtio-pci" "$output"
  expect "the other GPU is bound" "none vfio-pci" "$(drivers)"
  expect "no override" '(null)' "$(cat "/sys/bus/pci/devices/$(bdf 0)/driver_override")"
  expect "the foreign member as it was" virtio-pci "$(basename "$(readlink /sys/bus/pci/devices/$foreign/driver)")"
  echo $foreign >/sys/bus/pci/drivers/virtio-pci/unbind
  vfio-manage bind --all
  expect "and then it works" "vfio-pci vfio-pci" "$(drivers)"
  expect "the foreign member without driver" "" "$(readlink /sys/bus/pci/devices/$foreign/driver || true)"
}
