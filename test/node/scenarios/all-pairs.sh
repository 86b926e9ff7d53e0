# SPDX-License-Identifier: Apache-2.0
# Eight GPUs and four NVSwitches through every ordered pair of modes; a switch takes part in protected
# PCIe and in leaving it. The firmware has the knobs of each mode, the BAR0 decoupler among them.
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
    expect "knobs of the GPUs" "8 $(knobs_of $mode)" "$(knobs 2331\|2330)"
    case $mode in
      ppcie) expect "of the switches" "4 knob-2=0 knob-4=0 cc-devtools=0 cc-mode=0 bar0-decoupler=0 knob-34=0 ppcie=1" "$(knobs 22a3)" ;;
    esac
  done
}
# How often each set of knobs is there among devices of these ids.
knobs() { read-knobs | grep -E " ($1) " | cut -d' ' -f3- | sort | uniq -c | xargs; }
knobs_of() {
  case $1 in
    off) echo "knob-2=0 knob-4=0 cc-devtools=0 cc-mode=0 bar0-decoupler=0 knob-34=0 ppcie=0" ;;
    on) echo "knob-2=0 knob-4=0 cc-devtools=0 cc-mode=1 bar0-decoupler=2 knob-34=0 ppcie=0" ;;
    devtools) echo "knob-2=0 knob-4=0 cc-devtools=1 cc-mode=1 bar0-decoupler=0 knob-34=0 ppcie=0" ;;
    ppcie) echo "knob-2=0 knob-4=0 cc-devtools=0 cc-mode=0 bar0-decoupler=2 knob-34=0 ppcie=1" ;;
  esac
}
