# SPDX-License-Identifier: Apache-2.0
# What ./dev bench cc runs inside a virtual node with eight GPUs whose firmware boots in $BOOT_MS: what
# a change of mode may take, and what it took. Ends with status 1 when a budget is exceeded.
set -euo pipefail
now() { cut -d' ' -f1 /proc/uptime; }
result=0
heading() { printf '%-56s %9s %9s\n' "$1" budget measured; }
# row WHAT BUDGET MEASURED UNIT
row() {
  local verdict
  verdict=$(awk -v b="$2" -v m="$3" 'BEGIN { print m <= b ? "" : "  TOO MUCH" }')
  printf '%-56s %7s %s %7s %s%s\n' "$1" "$2" "$4" "$3" "$4" "$verdict"
  [ -z "$verdict" ] || result=1
}

hardware() {
  local budget mode
  budget=$(awk -v boot="$BOOT_MS" 'BEGIN { printf "%.2f", boot / 1000 + 0.3 }')
  heading "hardware part, 8 GPUs, boot $BOOT_MS ms"
  for mode in on off devtools on; do
    cc-manager --standalone --once --mode "$mode" >/run/bench.log 2>&1 || { cat /run/bench.log; exit 1; }
    row "  change to $mode" "$budget" "$(sed -n 's/.*all GPUs are in the mode.* seconds=\([0-9.]*\).*/\1/p' /run/bench.log)" s
  done
}

# Rows of the Kubernetes part have their place here: from label to state label, memory, start-up.

vendor() {
  if [ -z "${GPU_ADMIN_TOOLS:-}" ]; then
    echo "not compared with gpu-admin-tools: GPU_ADMIN_TOOLS does not name a checkout"
    return
  fi
  local started
  started=$(now)
  python3 "$GPU_ADMIN_TOOLS/nvidia_gpu_tools.py" --devices gpus --set-cc-mode=off --reset-after-cc-mode-switch \
    >/run/tool.log 2>&1 || { tail -5 /run/tool.log; exit 1; }
  awk -v from="$started" -v to="$(now)" 'BEGIN { printf "gpu-admin-tools, the same change, from its start to its end %17.2f s\n", to - from }'
  [ "$(gpuhostctl status --json | grep -c '"mode": "off"')" = 8 ]
}

vfio-manage bind --all 2>/dev/null
hardware
vendor
exit $result
