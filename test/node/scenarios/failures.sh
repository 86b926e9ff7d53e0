# SPDX-License-Identifier: Apache-2.0
# A missing module, a read-only sysfs, a device that vanishes and a kernel that loads no modules each
# leave all other devices as they were.
node='--gpus 2 --nvswitches 1'
overrides() { cat /sys/bus/pci/devices/0000:0[12]:00.0/driver_override | xargs; }
guest() {
  aliases=/lib/modules/$(uname -r)/modules.alias
  modprobe vfio-pci
  mount -o remount,ro /sys
  fails 3 vfio-manage bind --all
  expect_text "read-only sysfs" 'nothing changed.*Read-only file system' "$output"
  mount -o remount,rw /sys
  expect "drivers" "none none none" "$(drivers)"

  # A variant driver whose module is not there, for the GPUs and not for the switch.
  echo 'alias vfio_pci:v000010DEd00002331sv*sd*bc03sc02i00 no_such_vfio_pci' >>"$aliases"
  fails 3 vfio-manage bind --all --bind-nvswitches
  expect_text "modprobe's words" 'module no_such_vfio_pci is not there: .*not found' "$output"
  expect "the GPUs are as they were" "none none vfio-pci" "$(drivers)"
  expect "and have no override" "(null) (null)" "$(overrides)"
  sed -i '$d' "$aliases"

  # A device vanishes.
  echo 1 >"/sys/bus/pci/devices/$(bdf 1)/remove"
  vfio-manage bind --all
  expect "what is left" "vfio-pci vfio-pci" "$(drivers)"
  fails 3 vfio-manage bind --device-id 0000:02:00.0
  expect_text "it is missed" '0000:02:00.0.*no such NVIDIA device' "$output"

  vfio-manage unbind --all
  rmmod vfio-pci
  echo 1 >/proc/sys/kernel/modules_disabled
  fails 3 vfio-manage bind --all
  expect_text "the kernel forbids it" 'kernel.modules_disabled is 1' "$output"
  expect "nothing bound" "none none" "$(drivers)"
}
