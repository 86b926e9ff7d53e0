# SPDX-License-Identifier: Apache-2.0
# Daemons beside each other: GPUs are bound and then switched, and one that leaves the bus and comes
# back is bound again without a restart.
node='--gpus 2 --boot-ms 300'
both_bound() { [ "$(drivers)" = "vfio-pci vfio-pci" ]; }
guest() {
  vfio-manager run --all &
  vfio=$!
  eventually "both are bound" both_bound
  cc-manager --standalone --mode on &
  cc=$!
  eventually "both are on" modes_are "on on"
  second=$(bdf 1)
  echo 1 >"/sys/bus/pci/devices/$second/remove"
  expect "one is left" vfio-pci "$(drivers)"
  echo 1 >/sys/bus/pci/rescan
  eventually "what came is bound" both_bound
  kill $vfio $cc
  wait $vfio
  wait $cc
  expect "devices stay bound" "vfio-pci vfio-pci" "$(drivers)"
}
