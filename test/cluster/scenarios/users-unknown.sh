# SPDX-License-Identifier: Apache-2.0
# A pod has a GPU that it has not opened, as one that waits for its volumes, and the kubelet does not tell
# of it: it is away, has just started, is asked by others as fast as they can, or it is an init container that has
# the GPU. Each time cc-manager leaves the GPUs alone.
node='--gpus 2 --memory 4096'
guest() {
  vfio-manage bind --all
  beside_kubelet pod_keeps_gpu
}

pod_keeps_gpu() {
  sandbox-device-plugin &
  eventually "its CDI file is there" test -f /var/run/cdi/nvidia.com-pgpu.yaml
  static_pod "echo runs; sleep 10000"
  eventually "the pod runs" static_pod_says runs
  refused "the kubelet tells"
  expect_text "by its name" "in use by pod default/static-$CLUSTER_NODE" "$output"

  cluster-part kill kubelet
  refused "the kubelet is away"
  expect_text "by the kubelet's checkpoint" 'pod [0-9a-f-]+ \(container main\)' "$output"
  cluster-part start kubelet
  for _ in $(seq 10); do refused "the kubelet is starting"; done
  eventually "it tells again" tells

  ask_without_end &
  local asking=$!
  for _ in $(seq 10); do refused "others ask the kubelet"; done
  kill $asking

  rm "$CLUSTER_RUN/static-pods/static.yaml"
  eventually "without the pod nobody has a GPU" nobody_has_any
  static_pod "echo main; sleep 10000"
  sed -i 's/^  containers:/  initContainers:/; s/name: main/name: init/; s/echo main/echo init/' "$CLUSTER_RUN/static-pods/static.yaml"
  cat >>"$CLUSTER_RUN/static-pods/static.yaml" <<YAML
  containers:
  - {name: main, image: $CLUSTER_IMAGE, imagePullPolicy: Never, command: [sleep, "10000"]}
YAML
  eventually "a pod is in its init container" init_runs
  for _ in $(seq 3); do refused "an init container has it"; done
  expect_text "by the kubelet's checkpoint" 'pod [0-9a-f-]+ \(container init\)' "$output"

  rm "$CLUSTER_RUN/static-pods/static.yaml"
  eventually "without that pod modes are changed" cc-manager --standalone --once --mode on
}
refused() {  # WHY
  fails 3 cc-manager --standalone --once --mode on
  expect_text "$1: a pod has one" 'in use by pod ' "$output"
  expect "$1: no mode has changed" "off off" "$(modes)"
}
modes() { gpuhostctl status --json | jq -r '.devices[].mode' | xargs; }
tells() { gpuhostctl devices | grep -q "default/static-$CLUSTER_NODE/main"; }
nobody_has_any() { ! gpuhostctl devices | grep -qE 'pod|default/'; }
init_runs() { grep -q init /var/log/pods/*static*/init/*.log; }
# gRPC by hand: an empty request, again and again over one connection.
ask_without_end() {
  printf '\0\0\0\0\0' >"$CLUSTER_RUN/request"
  while true; do
    curl --silent --output /dev/null --http2-prior-knowledge --unix-socket /var/lib/kubelet/pod-resources/kubelet.sock \
      --header 'content-type: application/grpc' --header 'te: trailers' --data-binary "@$CLUSTER_RUN/request" \
      'http://localhost/v1.PodResourcesLister/List#[1-10000]' || true
  done
}
