# SPDX-License-Identifier: Apache-2.0
# One firmware does not answer, one has its knobs locked: that one refuses the change before anything is
# reset, and nothing stays armed.
node='--gpus 3 --fault 1:rpc-silent --fault 2:knob-locked --boot-ms 300'
guest() {
  vfio-manage bind --all
  fails 3 switch on
  expect_text "the locked one" "$(bdf 2): .*is locked against changes from the host; .*BMC" "$output"
  expect "all still off" "off off off" "$(modes)"
  expect "none is armed" 2 "$(gpuhostctl status --ask-firmware --json | grep -c '"pending": "off"')"
}
