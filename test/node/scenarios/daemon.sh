# SPDX-License-Identifier: Apache-2.0
# vfio-manager run beside people and other daemons: devices that come, go, are lost, are taken back,
# or are being switched by cc-manager; validation files; the end.
node='--gpus 2 --boot-ms 300'
ready=/run/nvidia/validations/vfio-pci-ready
bound() { [ "$(drivers)" = "vfio-pci vfio-pci" ]; }
is_ready() { [ -e $ready ]; }
not_ready() { [ ! -e $ready ]; }
logged() { grep -q "$1" /run/vfio.log; }
guest() {
  vfio-manager run --all --validation-files --on-exit=unbind-idle 2>/run/vfio.log &
  vfio=$!
  eventually "bound" bound
  eventually "and said to be" is_ready
  expect "workload" vm-passthrough "$(cat /run/nvidia/validations/workload-type)"
  fails 3 vfio-manager run --all
  expect_text "one per node" 'another vfio-manager runs' "$output"

  second=$(bdf 1)
  echo 1 >"/sys/bus/pci/devices/$second/remove"
  eventually "it is missed" logged "is gone bdf=$second"
  echo 1 >/sys/bus/pci/rescan
  eventually "hot plug" bound

  # Lost to another driver: taken back when it is free.
  modprobe pci-stub
  echo pci-stub >"/sys/bus/pci/devices/$second/driver_override"
  echo "$second" >/sys/bus/pci/drivers/vfio-pci/unbind
  echo "$second" >/sys/bus/pci/drivers/pci-stub/bind || true
  eventually "the loss is noticed" logged "lost its VFIO driver bdf=$second"
  eventually "and undone" bound

  # Released on request: it stays so, until it is asked for.
  vfio-manage unbind --device-id "$second"
  eventually "not ready" not_ready
  eventually "left alone" logged "unbound on request bdf=$second"
  expect "it has no driver" "vfio-pci none" "$(drivers)"
  vfio-manage bind --device-id "$second"
  eventually "ready again" is_ready

  group=$(basename "$(readlink "/sys/bus/pci/devices/$second/iommu_group")")
  exec 9<>"/dev/vfio/$group"
  kill $vfio
  status=0
  wait $vfio || status=$?
  cat /run/vfio.log
  expect "exit status: one is in use" 3 $status
  expect "it stays, the other is unbound" "none vfio-pci" "$(drivers)"
  expect_text "who has it" "not unbound bdf=$second error=\"in use by bash" "$(cat /run/vfio.log)"
  expect "not ready" no "$(is_ready && echo yes || echo no)"
}
