# SPDX-License-Identifier: Apache-2.0
# A missing module, a kernel that loads none, a read-only sysfs and a device that vanishes each leave
# all other devices as they were.
node='--gpus 3'
guest() {
  release=$(uname -r)
  aliases=/lib/modules/$release/modules.alias
  # A variant driver whose module is not there, for the first GPU alone.
  subsystem=$(cut -c3-6 "/sys/bus/pci/devices/$(bdf 0)/subsystem_device")
  echo "alias vfio_pci:v000010DEd00002331sv*sd0000${subsystem^^}bc03sc02i00 no_such_vfio_pci" >>"$aliases"
  mount -o remount,ro /sys
  fails 3 vfio-manage bind --all
  mount -o remount,rw /sys
  expect "nothing on a read-only sysfs" "none none none" "$(drivers)"
  fails 3 vfio-manage bind --all
  expect_text "modprobe's words" 'module no_such_vfio_pci is not there: .*(not found|FATAL)' "$output"
  expect "nobody else has this board" "none none none" "$(drivers)"
  sed -i '$d' "$aliases"

  # Module loading forbidden for good.
  (unshare -m bash -c "mount --bind /dev/null /sbin/modprobe; vfio-manage bind --all" 2>&1 || true) | tee /run/out
  expect_text "modprobe does not run" 'modprobe' "$(cat /run/out)"
  vfio-manage bind --device-id "$(bdf 1)"
  expect "one alone" "none vfio-pci none" "$(drivers)"
  echo 1 >"/sys/bus/pci/devices/$(bdf 2)/remove"
  vfio-manage bind --all
  expect "what is left" "vfio-pci vfio-pci" "$(drivers)"
  vfio-manage unbind --all
  echo 1 >/proc/sys/kernel/modules_disabled
  rmmod vfio-pci 2>/dev/null || true
  expect "still bindable, the module is loaded" 0 "$(vfio-manage bind --all >/dev/null 2>&1; echo $?)"
}
