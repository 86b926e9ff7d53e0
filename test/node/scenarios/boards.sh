# SPDX-License-Identifier: Apache-2.0
# NVSwitches stay out of what GPUs do; boards without modes are bound and said to have none.
node='--gpus 1 --nvswitches 1 --model h100-sxm --boot-ms 300'
guest() {
  vfio-manage bind --all
  switch on
  output=$(gpuhostctl status)
  expect_text "the GPU" "H100 SXM5? .* vfio-pci .* on " "$output"
  expect_text "the switch" "NVSwitch +- .* off " "$output"
}
