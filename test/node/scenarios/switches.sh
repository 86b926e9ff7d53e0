# SPDX-License-Identifier: Apache-2.0
# Eight GPUs and four NVSwitches: switches are bound when told to, or when the node is in protected
# PCIe; the plan as JSON.
node='--gpus 8 --nvswitches 4 --model h100-sxm --boot-ms 300 --memory 3072'
bound() { drivers | tr ' ' '\n' | grep -c vfio-pci || true; }
all_bound() { [ "$(bound)" = 12 ]; }
guest() {
  plan=$(vfio-manage bind --all --bind-nvswitches --dry-run --json)
  expect "units in the plan" 12 "$(python3 -c 'import json, sys; print(len(json.load(sys.stdin)["units"]))' <<<"$plan")"
  expect "and nothing done" 0 "$(bound)"
  vfio-manage bind --all
  expect "GPUs alone" 8 "$(bound)"
  BIND_NVSWITCHES=true vfio-manage bind --all
  expect "switches, too" 12 "$(bound)"
  vfio-manage unbind --all
  expect "all of ours" 0 "$(bound)"

  vfio-manager run --all &
  vfio=$!
  switch ppcie
  eventually "protected PCIe takes switches" all_bound
  kill $vfio
  wait $vfio
}
