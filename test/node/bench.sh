# SPDX-License-Identifier: Apache-2.0
# What ./dev bench runs inside a virtual node with eight GPUs.
set -euo pipefail
now() { cut -d' ' -f1 /proc/uptime; }
vfio-manage bind --all 2>/dev/null
echo "cc-manager, its own monotonic clock, all eight GPUs:"
for mode in on off on; do
  cc-manager --standalone --once --mode "$mode" 2>&1 | sed -n 's/.*all GPUs are in the mode/ /p'
done
if [ -z "${GPU_ADMIN_TOOLS:-}" ]; then
  echo "gpu-admin-tools: not run; GPU_ADMIN_TOOLS does not name a checkout"
  exit 0
fi
echo "gpu-admin-tools, the same change, from start to end of the program:"
started=$(now)
python3 "$GPU_ADMIN_TOOLS/nvidia_gpu_tools.py" --devices gpus --set-cc-mode=off --reset-after-cc-mode-switch >/run/tool.log 2>&1 ||
  { tail -5 /run/tool.log; exit 1; }
awk -v from="$started" -v to="$(now)" 'BEGIN { printf "  mode=off seconds=%.1f\n", to - from }'
[ "$(gpuhostctl status --json | grep -c '"mode": "off"')" = 8 ]
