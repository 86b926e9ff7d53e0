# SPDX-License-Identifier: Apache-2.0
# Eight GPUs and four NVSwitches through every ordered pair of modes; a switch takes part in protected
# PCIe and in leaving it.
node='--gpus 8 --nvswitches 4 --model h100-sxm --boot-ms 300 --memory 3072'
guest() {
  vfio-manage bind --all
  gpus() { gpuhostctl status | grep SXM | grep -c " $1 "; }
  switches() { gpuhostctl status | grep NVSwitch | grep -c " $1 " || true; }
  # A closed walk that passes each of the twelve pairs once.
  switch off
  for mode in on off devtools off ppcie on devtools on ppcie devtools ppcie off; do
    switch $mode
    expect "all GPUs are $mode" 8 "$(gpus $mode)"
    case $mode in
      ppcie) expect "and all switches" 4 "$(switches ppcie)" ;;
      *) expect "and no switch is in protected PCIe" 0 "$(switches ppcie)" ;;
    esac
  done
}
