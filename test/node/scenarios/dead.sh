# SPDX-License-Identifier: Apache-2.0
# A GPU that answers nothing refuses the change; the healthy ones are not touched.
node='--gpus 3 --fault 1:dead-after-reset --boot-ms 300'
guest() {
  vfio-manage bind --all
  fails 3 switch on
  expect_text "the dead one is named" "$(bdf 1).*(does not answer|fell off)" "$output"
  fails 3 gpuhostctl status
  expect_text "the others are on" 'vfio-pci +[0-9]+ +/dev/vfio/[0-9]+ +on' "$output"
  fails 3 switch off
  expect_text "refused" "nothing changed.*$(bdf 1)" "$output"
  expect "the others stay" "on null on" "$(modes)"
}
