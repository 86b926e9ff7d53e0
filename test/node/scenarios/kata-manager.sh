# SPDX-License-Identifier: Apache-2.0
# kata-manager run without runtime classes beside a containerd that runs: modules and CDI files are
# looked after, and containerd's files and process stay as they are. Then the same as NVIDIA's
# kata-manager, and beside our plugin, whose CDI file it leaves alone.
node='--gpus 2'
main=/etc/containerd/config.toml
cdi=/var/run/cdi/nvidia.com-pgpu.yaml
containerd_files() { find /etc/containerd -type f -exec stat -c '%n %i %s %Y %Z' {} + -exec sha256sum {} +; }
answers() { ctr --connect-timeout 1s version >/dev/null 2>&1; }
is_there() { [ -e "$1" ]; }
is_gone() { [ ! -e "$1" ]; }
names_in() { sed -n 's/.*name: "\(.*\)"/\1/p' $cdi | xargs; }
by() { grep -q "Written by gpuhost's $1" $cdi; }
untouched() {
  expect "$1: containerd's files" "$files" "$(containerd_files)"
  expect "$1: its process" "$containerd $started" "$(pidof containerd) $(stat -c %Y "/proc/$containerd")"
}
stop() {
  kill "$1"
  status=0
  wait "$1" || status=$?
  expect "exit status" 0 $status
}
guest() {
  rm -rf /etc/containerd
  mkdir -p /etc/containerd /var/run/cdi
  printf '%s\n' '# of the administrator' 'version = 2' 'root = "/run/containerd-root"' \
    '[plugins."io.containerd.grpc.v1.cri"]' '  sandbox_image = "none" # yet' >$main
  containerd --config $main >/run/containerd.log 2>&1 &
  containerd=$!
  eventually "containerd answers" answers || { tail -5 /run/containerd.log; return 1; }
  started=$(stat -c %Y "/proc/$containerd")
  files=$(containerd_files)
  vfio-manage bind --all

  for text in 'runtimeClasses: null' 'runtimeClasses: []' '' '# nothing'; do
    rm -f $cdi
    modprobe -r vhost_vsock vhost_net 2>/dev/null || true
    echo "$text" >/run/kata.yaml
    kata-manager run --config /run/kata.yaml --pid-file /run/kata.pid 2>/run/kata.log &
    kata=$!
    eventually "a first pass with '$text'" is_there /run/kata.pid || { cat /run/kata.log; return 1; }
    expect "pid file" $kata "$(cat /run/kata.pid)"
    expect "modules" "yes yes" "$(is_there /sys/module/vhost_vsock && echo yes) $(is_there /sys/module/vhost_net && echo yes)"
    expect "names for CDI: the groups" "$(for d in $(bdf 0) $(bdf 1); do basename "$(readlink "/sys/bus/pci/devices/$d/iommu_group")"; done | sort -n | xargs)" "$(names_in)"
    untouched "$text"
    stop $kata
    expect "the pid file goes" no "$(is_there /run/kata.pid && echo yes || echo no)"
    untouched "after '$text'"
  done
  expect "no records of ours" no "$(is_there /var/lib/gpuhost/kata && echo yes || echo no)"

  # What goes wrong is said before anything is done.
  echo 'runtimeclasses: null' >/run/kata.yaml
  fails 1 kata-manager run --config /run/kata.yaml
  expect_text "the place" "/run/kata.yaml:1:1: 'runtimeclasses' is unknown" "$output"

  # As NVIDIA's, with its environment; a GPU comes and goes.
  echo 'runtimeClasses: null' >/run/kata.yaml
  ln -sf "$(command -v kata-manager)" /run/k8s-kata-manager
  CONFIG_FILE=/run/kata.yaml KATA_ARTIFACTS_DIR=/run/art CDI_ENABLED=true LOAD_KERNEL_MODULES=true \
    RUNTIME=containerd CONTAINERD_CONFIG=$main NODE_NAME=n /run/k8s-kata-manager 2>/run/kata.log &
  kata=$!
  eventually "its pid file" is_there /run/art/k8s-kata-manager.pid
  fails 3 kata-manager run --config /run/kata.yaml
  vfio-manage unbind --all
  eventually "no GPU, no file" is_gone $cdi
  vfio-manage bind --all
  eventually "and back" is_there $cdi

  # Our plugin writes that file where it lives.
  mkdir -p /var/lib/kubelet/device-plugins
  sandbox-device-plugin 2>/run/plugin.log &
  plugin=$!
  eventually "the plugin's file" by sandbox-device-plugin
  sleep 2
  expect "stays the plugin's" 1 "$(grep -c "Written by gpuhost's sandbox-device-plugin" $cdi)"
  vfio-manage unbind --device-id "$(bdf 0)"
  eventually "the plugin's still" by sandbox-device-plugin
  stop $kata
  kill $plugin
  untouched "at the end"
}
