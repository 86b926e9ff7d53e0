# SPDX-License-Identifier: Apache-2.0
# Every ordered pair of modes on real function-level resets, all GPUs at once.
node='--gpus 4 --boot-ms 300'
guest() {
  vfio-manage bind --all
  for mode in on devtools off devtools on off; do
    switch "$mode"
    expect "all GPUs" "$mode $mode $mode $mode" "$(modes)"
  done
}
