# SPDX-License-Identifier: Apache-2.0
# How each part of the cluster is started, and how one sees that it works. Sourced by node.sh.
# Each part is one line of words in $run/NAME.command, so that a test can end it and start it again.

define() {  # NAME COMMAND...
  local name=$1
  shift
  printf '%q ' "$@" >"$run/$name.command"
}

alive() { kill -0 "$(cat "$run/$1.pid" 2>/dev/null)" 2>/dev/null; }

# await SECONDS WHAT COMMAND...: runs COMMAND until it succeeds. A part that has died ends the wait.
await() {
  local limit=$1 what=$2 name
  shift 2
  local deadline=$((SECONDS + limit))
  until "$@" >/dev/null 2>&1; do
    for name in "${started[@]}"; do
      alive "$name" || fail "$name died while waiting for $what" "$name"
    done
    [ $SECONDS -lt $deadline ] || fail "$what did not come within $limit s" "${started[@]: -1}"
    sleep 0.2
  done
}

fail() {  # TEXT COMPONENT
  say "$1"
  tail -5 "$logs/$2.log" | cut -c1-300 | sed 's/^/  /' >&2
  exit 1
}

define_etcd() {
  define etcd etcd --data-dir "$state/etcd" --log-level error \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380
}

define_control_plane() {
  define kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 \
    --advertise-address "$address" --bind-address 0.0.0.0 --secure-port 6443 \
    --endpoint-reconciler-type none --service-cluster-ip-range 10.96.0.0/16 \
    --client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/apiserver.crt" \
    --tls-private-key-file "$pki/apiserver.key" \
    --kubelet-preferred-address-types InternalIP \
    --kubelet-client-certificate "$pki/admin.crt" --kubelet-client-key "$pki/admin.key" \
    --service-account-key-file "$pki/service-account.key" \
    --service-account-signing-key-file "$pki/service-account.key" \
    --service-account-issuer https://kubernetes.default.svc \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction
  define kube-controller-manager kube-controller-manager --kubeconfig "$pki/controller-manager.conf" \
    --root-ca-file "$pki/ca.crt" --service-account-private-key-file "$pki/service-account.key" \
    --use-service-account-credentials --leader-elect=false --bind-address 127.0.0.1
  define kube-scheduler kube-scheduler --kubeconfig "$pki/scheduler.conf" --leader-elect=false \
    --bind-address 127.0.0.1
}

define_containerd() {
  cat >"$run/containerd.toml" <<TOML
version = 2
root = "$state/containerd"
state = "$run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "$run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$image"
disable_apparmor = true
restrict_oom_score_adj = true
enable_cdi = true
cdi_spec_dirs = ["/etc/cdi", "/var/run/cdi"]
stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$run/cni"
TOML
  mkdir -p "$run/cni"
  cat >"$run/cni/10-bench.conflist" <<'JSON'
{"cniVersion": "0.4.0", "name": "bench", "plugins": [
  {"type": "bridge", "bridge": "bench0", "isGateway": true, "ipMasq": false,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.97.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
  define containerd containerd --config "$run/containerd.toml"
}

define_kubelet() {
  local access
  if [ "$with_apiserver" = yes ]; then
    access="{anonymous: {enabled: false}, x509: {clientCAFile: $pki/ca.crt}, webhook: {enabled: true}}"
  else
    access="{anonymous: {enabled: true}, webhook: {enabled: false}}"
  fi
  mkdir -p "$run/static-pods"
  cat >"$run/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $address
authentication: $access
authorization: {mode: $([ "$with_apiserver" = yes ] && echo Webhook || echo AlwaysAllow)}
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
enableServer: true
evictionHard: {memory.available: "0%", nodefs.available: "0%", imagefs.available: "0%", nodefs.inodesFree: "0%"}
failSwapOn: false
imageGCHighThresholdPercent: 100
makeIPTablesUtilChains: false
oomScoreAdj: 0
maxOpenFiles: $(ulimit -Hn)
nodeStatusUpdateFrequency: 1s
protectKernelDefaults: true
resolvConf: ""
staticPodPath: $run/static-pods
YAML
  local kubeconfig=() runtime=()
  if [ "${version#1.}" -ge 27 ]; then
    cat >>"$run/kubelet.yaml" <<YAML
containerRuntimeEndpoint: unix://$run/containerd.sock
localStorageCapacityIsolation: false
YAML
  else
    runtime=(--container-runtime remote --container-runtime-endpoint "unix://$run/containerd.sock")
  fi
  # Kubernetes 1.35 and later refuse cgroup v1 unless told otherwise; earlier ones do not know the key.
  [ "${version#1.}" -lt 35 ] || echo 'failCgroupV1: false' >>"$run/kubelet.yaml"
  [ "$with_apiserver" = no ] || kubeconfig=(--kubeconfig "$pki/node.conf")
  # The kubelet's directory holds mounts, which the overlay of /var does not bear; its socket is where a
  # node has it.
  mkdir -p /var/lib/kubelet
  ln -sfn "$state/kubelet/pod-resources" /var/lib/kubelet/pod-resources
  define kubelet kubelet --config "$run/kubelet.yaml" --root-dir "$state/kubelet" \
    --hostname-override "$node" --node-ip "$address" "${kubeconfig[@]}" "${runtime[@]}"
}
