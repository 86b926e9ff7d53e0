# SPDX-License-Identifier: Apache-2.0
# What ./dev bench vfio runs inside a virtual node with eight GPUs and four NVSwitches: how long one
# device takes, and all at once. Both CPUs of the node are one thread, so this is the worst case.
set -euo pipefail
ms() { awk -v from="$1" -v to="$(date +%s%N)" 'BEGIN { printf "%.0f", (to - from) / 1e6 }'; }
once() {  # ARGUMENTS...: milliseconds of one vfio-manage
  local started
  started=$(date +%s%N)
  vfio-manage "$@" 2>/dev/null
  ms "$started"
}
modprobe vfio-pci
once bind --all --dry-run >/dev/null 2>&1  # files of the program are read in
slowest=0
for d in $(lspci -Dd 10de: | cut -d' ' -f1); do
  took=$(once bind --bind-nvswitches --device-id "$d")
  [ "$took" -le "$slowest" ] || slowest=$took
done
vfio-manage unbind --all 2>/dev/null
all=$(once bind --all --bind-nvswitches)
budget=$((slowest * 3 / 2))
printf '%-56s %11s %11s\n' "binding in a virtual node, start to end of vfio-manage" budget measured
printf '  %-54s %11s %7d ms\n' "bind, slowest of 12 single ones" "" "$slowest"
printf '  %-54s %7d ms  %7d ms%s\n' "bind of all 12" "$budget" "$all" "$([ "$all" -le "$budget" ] || echo "  TOO MUCH")"
[ "$all" -le "$budget" ]
