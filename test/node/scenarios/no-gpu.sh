# SPDX-License-Identifier: Apache-2.0
# A machine without GPUs is told so in one line.
node='--gpus 0'
guest() {
  fails 4 vfio-manage bind --all
  expect_text "remedy" 'no NVIDIA GPU on this machine' "$output"
  fails 4 cc-manager --standalone --once --mode on
  fails 4 gpuhostctl status
}
