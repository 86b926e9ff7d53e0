# SPDX-License-Identifier: Apache-2.0
# On a real kernel the doctor tells step by step what the GPUs still lack, reads their modes from the
# registers, and says the same of the node's support bundle.
node='--gpus 2'
result() { jq -r ".checks[] | select(.id == \"$1\") | .result + \" \" + .observed" /run/doctor.json; }
doctor() { gpuhostctl doctor --json "$@" >/run/doctor.json || [ $? = 1 ]; }
guest() {
  doctor
  expect_text "the IOMMU is on" '^pass [0-9]+ groups' "$(result IOMMU-ON)"
  expect "two GPUs" "pass 2 x H100 PCIe" "$(result GPU-ENUM)"
  expect_text "none is on VFIO" '^fail 2 of 2: .* has no driver' "$(result GPU-DRV)"
  vfio-manage bind --all
  doctor
  expect "both are on VFIO" "pass vfio-pci" "$(result GPU-DRV)"
  expect_text "each in its group" '^pass' "$(result GROUP-ISO)"
  expect "the mode is read" "fail the mode is off" "$(result CC-MODE)"
  switch on
  doctor
  expect "and read again" "pass on" "$(result CC-MODE)"
  fails 1 gpuhostctl doctor --color never
  expect_text "a virtual machine is no place for them" 'NESTED' "$output"

  fails 1 gpuhostctl doctor --json --support-bundle /run/node.tar.gz
  mkdir /run/bundle
  tar -xzf /run/node.tar.gz -C /run/bundle
  here=$(jq -c '.causes' /run/doctor.json)
  doctor --host-root /run/bundle/*/tree
  expect "the bundle has the same causes" "$here" "$(jq -c .causes /run/doctor.json)"
  expect "and the same mode" "pass on" "$(result CC-MODE)"
}
