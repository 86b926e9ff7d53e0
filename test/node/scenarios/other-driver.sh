# SPDX-License-Identifier: Apache-2.0
# A GPU that another driver holds is not switched; binding takes it from that driver, unbinding
# leaves what is not on vfio-pci alone.
node='--gpus 2 --boot-ms 300'
guest() {
  modprobe pci-stub
  echo pci-stub >"/sys/bus/pci/devices/$(bdf 0)/driver_override"
  bdf 0 >/sys/bus/pci/drivers/pci-stub/bind
  fails 3 switch on
  expect_text "driver and remedy are named" "$(bdf 0): held by driver pci-stub; bind it to vfio-pci" "$output"
  expect "nothing switched" "off off" "$(modes)"
  vfio-manage unbind --all
  expect "not ours to unbind" "pci-stub none" "$(drivers)"
  vfio-manage bind --all
  expect "taken over" "vfio-pci vfio-pci" "$(drivers)"
  switch on
  expect "switched" "on on" "$(modes)"
}
