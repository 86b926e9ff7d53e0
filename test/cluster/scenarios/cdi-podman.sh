# SPDX-License-Identifier: Apache-2.0
# An independent reader of the plugin's CDI files: podman gives a container the nodes of each device,
# under either kind of id, and knows no others.
cluster='--no-apiserver'
command -v podman >/dev/null || skip='podman is not installed'
guest() {
  fake_gpus 2
  root=$CLUSTER_RUN/root
  mkdir -p "$root"/{bin,dev,proc,sys}
  cp "$(command -v busybox)" "$root/bin/busybox"
  ln -s busybox "$root/bin/ls"
  for ids in number address; do
    sandbox-device-plugin --ids $ids &
    plugin=$!
    eventually "ids are called by $ids" cdi_has $ids
    for group in 41 42; do
      id=$group
      [ $ids = number ] || id=0000:$group:00.0
      expect "podman resolves nvidia.com/pgpu=$id" $group "$(run_with "nvidia.com/pgpu=$id")"
    done
    expect "and both together" "41 42" "$(run_with "nvidia.com/pgpu=$(first)" --device "nvidia.com/pgpu=$(last)")"
    kill $plugin
    wait $plugin
  done
  fails 126 run_with nvidia.com/pgpu=7
  expect_text "it knows no other" 'unresolvable CDI devices nvidia.com/pgpu=7' "$output"
}
run_with() {
  podman --root "$CLUSTER_RUN/podman" --runroot "$CLUSTER_RUN/podman-run" --storage-driver vfs --runtime runc \
    --cgroup-manager cgroupfs --events-backend none --log-level error run --rm --network none \
    --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --security-opt seccomp=unconfined \
    --device "$@" --rootfs "$root" ls /dev/vfio | xargs
  return "${PIPESTATUS[0]}"
}
names() { sed -n 's/.*- name: "\(.*\)"/\1/p' /var/run/cdi/nvidia.com-pgpu.yaml; }
first() { names | head -1; }
last() { names | tail -1; }
cdi_has() { case $(first) in *:*) [ "$1" = address ] ;; *) [ "$1" = number ] ;; esac; }
