#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Process 1 of the bench, in namespaces of its own: brings the cluster up, runs the command, and takes
# everything along when it ends.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# Given by ./cluster: work version binaries image_archive with_apiserver with_kubelet cgroup
readonly pki=$work/pki run=$work/run state=$work/state logs=$work/logs
readonly node=bench address=10.250.0.2 image=localhost/gpuhost-bench:1
mkdir -p "$pki" "$run" "$state" "$logs"
export CLUSTER_RUN=$run CLUSTER_PKI=$pki CLUSTER_LOGS=$logs CLUSTER_IMAGE=$image CLUSTER_NODE=$node
export PATH=$here/bin:$binaries:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
started=()
trap 'exit 130' INT TERM

say() { printf 'cluster: %s\n' "$*" >&2; }
# shellcheck source=pki.sh
. "$here/pki.sh"
# shellcheck source=components.sh
. "$here/components.sh"

begin() {  # NAME
  cluster-part start "$1"
  started+=("$1")
}

# What is written to /dev, /etc, /run and /var stays below $state.
own_file_system() {
  local directory below
  mount --make-rshared /
  for directory in dev etc var; do
    mkdir -p "$state/$directory"/{lower,upper,work}
    mount --rbind "/$directory" "$state/$directory/lower"
    mount -t overlay overlay "/$directory" \
      -o "lowerdir=$state/$directory/lower,upperdir=$state/$directory/upper,workdir=$state/$directory/work"
  done
  for below in /dev/pts /dev/shm; do mount --bind "$state/dev/lower/${below##*/}" "$below"; done
  mkdir -p "$state/run"
  mount --bind "$state/run" /run
  # The kubelet wants these values and nobody else does: it finds them, and the machine keeps its own.
  local key value
  while read -r key value; do
    echo "$value" >"$state/sysctl-$key"
    mount --bind "$state/sysctl-$key" "/proc/sys/${key//.//}"
  done <<'KEYS'
vm.overcommit_memory 1
vm.panic_on_oom 0
kernel.panic 10
kernel.panic_on_oops 1
kernel.keys.root_maxkeys 1000000
kernel.keys.root_maxbytes 25000000
KEYS
}

own_network() {
  ip link set lo up
  ip link add uplink0 type veth peer name uplink1
  ip addr add "$address/24" dev uplink0
  ip link set uplink0 up
  ip link set uplink1 up
  ip route add default via 10.250.0.1 dev uplink0
  hostname "$node"
  rm -f /etc/resolv.conf /etc/hosts
  : >/etc/resolv.conf
  printf '%s\n' "127.0.0.1 localhost" "$address $node" >/etc/hosts
}

own_cgroup() {
  local hierarchy
  while read -r hierarchy; do
    mkdir -p "$hierarchy/$cgroup"
  done < <(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts)
}

import_image() {
  ctr --address "$run/containerd.sock" --namespace k8s.io image import "$image_archive" >>"$logs/image.log" 2>&1 ||
    fail "the image could not be imported" image
}

node_is_ready() { kubectl get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -qx True; }

bring_up() {
  own_file_system
  own_network
  if [ "$with_apiserver" = yes ]; then
    say "etcd and API server"
    make_pki
    export KUBECONFIG=$pki/admin.conf
    define_etcd
    define_control_plane
    begin etcd
    begin kube-apiserver
    await 120 "the API server" kubectl get --raw /readyz
    begin kube-controller-manager
    begin kube-scheduler
    await 60 "the default service account" kubectl get serviceaccount default
  fi
  if [ "$with_kubelet" = yes ]; then
    say "containerd and kubelet"
    own_cgroup
    define_containerd
    define_kubelet
    begin containerd
    await 60 containerd ctr --address "$run/containerd.sock" version
    import_image
    begin kubelet
    if [ "$with_apiserver" = yes ]; then
      await 120 "the node" node_is_ready
    else
      await 60 "the kubelet's device-plugin socket" test -S /var/lib/kubelet/device-plugins/kubelet.sock
    fi
  fi
}

bring_up
say "up after $SECONDS s"
status=0
"$@" || status=$?
exit $status
