# SPDX-License-Identifier: Apache-2.0
# What ./dev demo runs inside the virtual node: the main job, step by step.
set -euo pipefail

start=$(date +%s%N)
step() {
  local now
  now=$((($(date +%s%N) - start) / 1000000))
  printf '\n\033[1m[%3d.%03d s] %s\033[0m\n' $((now / 1000)) $((now % 1000)) "$*"
}

step "What the kernel sees: $(lspci -d 10de: | wc -l) NVIDIA GPUs, no driver"
lspci -d 10de:
gpuhostctl status

step "vfio-manage bind --all: every GPU to vfio-pci, each write checked and verified"
vfio-manage bind --all 2>&1
ls /dev/vfio

step "sandbox-device-plugin registers with a kubelet stand-in (real gRPC)"
kubelet_dir=/var/lib/kubelet/device-plugins
mkdir -p "$kubelet_dir" /var/run/cdi
kubelet-stand-in --dir "$kubelet_dir" --until-devices 4 --allocate nvidia.com/pgpu=1 --timeout 60 &
kubelet=$!
sandbox-device-plugin 2>/run/plugin.log &
plugin=$!
wait "$kubelet" || { cat /run/plugin.log; exit 1; }
echo "CDI file $(ls /var/run/cdi):"
cat /var/run/cdi/*

step "cc-manager: confidential computing off -> on, all GPUs in parallel"
# The plugin takes the device that it has just given out for one that a pod is about to use.
cc-manager --standalone --once --mode on --workload-policy wait 2>&1

step "After it"
gpuhostctl status

kill "$plugin" && wait "$plugin" || true
step "Done: $(gpuhostctl status | grep -c ' on  *on$') of 4 GPUs are on"
[ "$(gpuhostctl status | grep -c ' on  *on$')" = 4 ]
