# SPDX-License-Identifier: Apache-2.0
# One GPU is dead after its reset, one does not boot again: each gets one more reset, then is named; a
# dead one refuses the next change and the healthy ones are not touched.
node='--gpus 3 --fault 1:dead-after-reset --fault 2:never-boots --boot-ms 300'
guest() {
  vfio-manage bind --all
  fails 3 switch on
  expect_text "the dead one" "$(bdf 1).*twice reset: .*(does not answer|fell off)" "$output"
  expect_text "the one that does not boot" "$(bdf 2).*twice reset: firmware has not booted" "$output"
  fails 3 gpuhostctl status
  expect_text "the other is on" 'vfio-pci +[0-9]+ +/dev/vfio/[0-9]+ +on' "$output"
  fails 3 switch off
  expect_text "refused" "nothing changed.*$(bdf 1)" "$output"
  expect "the healthy one stays" "on null null" "$(modes)"
}
