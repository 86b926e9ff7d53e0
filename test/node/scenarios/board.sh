# SPDX-License-Identifier: Apache-2.0
# A graphics board of four functions in one IOMMU group: all go to VFIO together, from whatever
# drivers had them, and back to these.
node='--gpus 1 --model rtx-4000'
functions() { for f in 0 1 2 3; do basename "$(readlink "/sys/bus/pci/devices/0000:01:00.$f/driver" || echo none)"; done | xargs; }
viable() { python3 -c 'import fcntl, struct, sys
status = bytearray(struct.pack("II", 8, 0))
fcntl.ioctl(open("/dev/vfio/" + sys.argv[1]), 0x3b67, status)  # VFIO_GROUP_GET_STATUS
print("viable" if struct.unpack("II", status)[1] & 1 else "not viable")' "$(basename "$(readlink /sys/bus/pci/devices/0000:01:00.0/iommu_group)")"; }
guest() {
  expect "four functions" 4 "$(lspci -nd 10de: | wc -l)"
  modprobe pci-stub
  for f in 1 2; do
    echo pci-stub >"/sys/bus/pci/devices/0000:01:00.$f/driver_override"
    echo "0000:01:00.$f" >/sys/bus/pci/drivers/pci-stub/bind
  done
  vfio-manage bind --all
  expect "all four" "vfio-pci vfio-pci vfio-pci vfio-pci" "$(functions)"
  expect "the group" viable "$(viable)"
  expect "d3cold of the GPU" 0 "$(cat /sys/bus/pci/devices/0000:01:00.0/d3cold_allowed)"
  vfio-manage unbind --all --to default
  expect "back to what they had" "none pci-stub pci-stub none" "$(functions)"
  expect "d3cold of the GPU" 1 "$(cat /sys/bus/pci/devices/0000:01:00.0/d3cold_allowed)"

  # The override of one function does not reach the kernel, so its bind fails: all are as before.
  echo '(null)' >/run/override
  mount --bind /run/override /sys/bus/pci/devices/0000:01:00.3/driver_override
  fails 3 vfio-manage bind --all
  expect_text "each is told" '0000:01:00.1: given back to pci-stub' "$output"
  expect "as before" "none pci-stub pci-stub none" "$(functions)"
  expect "nothing is remembered as bound" "" "$(grep -l state=bound /run/nvidia/gpuhost/vfio/* || true)"
}
