# SPDX-License-Identifier: Apache-2.0
# node-validator asks the real API server for labels, RuntimeClasses and the version, with no more rights
# than it needs, and says what keeps pods from being sent to a node that knows their handler.
cluster='--no-kubelet'
[ "${CLUSTER_VERSION:-}" != 1.20 ] || skip="1.20 is older than what is asked for"
guest() {
  cluster-part stop kube-controller-manager # it would delete a node that no kubelet looks after
  kata_node
  kubectl apply -f - <<YAML
apiVersion: v1
kind: Node
metadata:
  name: gpu-7
  labels: {nvidia.com/gpu.workload.config: vm-passthrough, nvidia.com/cc.ready.state: "true", katacontainers.io/kata-runtime: "true"}
YAML
  kubectl create serviceaccount validator
  kubectl create clusterrole validator --verb=get --resource=nodes
  kubectl create clusterrolebinding validator --clusterrole=validator --serviceaccount=default:validator
  account=$(cluster-kubeconfig service-account default validator)

  validate
  expect_text "which right is missing" '^unknown .*cannot list resource "runtimeclasses" in API group "node.k8s.io"' "$(result RC-HANDLER)"
  expect "the labels are read all the same" "pass true" "$(result LABEL-READY)"
  kubectl create clusterrole classes --verb=list --resource=runtimeclasses.node.k8s.io
  kubectl create clusterrolebinding classes --clusterrole=classes --serviceaccount=default:validator
  eventually "the right is granted" can_list
  validate
  expect "nothing leads to the handler" "fail no RuntimeClass names $handler" "$(result RC-HANDLER)"

  runtime_class "$handler" "$handler" "{}"
  runtime_class left-over kata-of-before '{nvidia.com/kata-runtime-class: "true"}'
  kubectl label node gpu-7 nvidia.com/cc.ready.state=false --overwrite
  validate
  expect "it does" "pass $handler" "$(result RC-HANDLER)"
  expect_text "the control plane is new enough" '^pass Kubernetes 1\.' "$(result API-VER)"
  expect "but to other nodes" "fail $handler asks for nvidia.com/cc.ready.state=true, the node has 'false'" "$(result RC-SELECT)"
  expect "and takes what there is not" "fail $handler takes 1 of sev-snp.amd.com/esids, which the node has not" "$(result RC-OVERHEAD)"
  expect "one was left over" "fail without a handler here: left-over (kata-of-before)" "$(result RC-STALE)"

  kubectl label node gpu-7 nvidia.com/cc.ready.state=true --overwrite
  kubectl patch node gpu-7 --subresource=status --type=merge \
    -p '{"status": {"capacity": {"sev-snp.amd.com/esids": "2000"}, "allocatable": {"sev-snp.amd.com/esids": "2000"}}}'
  kubectl delete runtimeclass left-over
  validate
  for check in API-VER RC-HANDLER RC-SELECT RC-OVERHEAD RC-STALE LABEL-WORKLOAD LABEL-READY LABEL-KATA; do
    expect_text "$check" '^pass' "$(result $check)"
  done

  cluster-part kill kube-apiserver
  validate
  expect_text "without the server nothing is said of it" '^skipped ' "$(result RC-HANDLER)"
}

handler=kata-qemu-nvidia-gpu-snp
# The root of a node whose containerd has the handler, and nothing else.
kata_node() {
  mkdir -p "$CLUSTER_RUN"/node/{proc,sys,etc/containerd}
  cat >"$CLUSTER_RUN/node/etc/containerd/config.toml" <<TOML
version = 3
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.$handler]
runtime_type = "io.containerd.$handler.v2"
TOML
}
validate() {
  node-validator --host-root "$CLUSTER_RUN/node" --node-name gpu-7 --kubeconfig "$account" --json \
    >"$CLUSTER_RUN/report.json" || [ $? = 1 ]
}
result() { jq -r ".checks[] | select(.id == \"$1\") | .result + \" \" + .observed" "$CLUSTER_RUN/report.json"; }
can_list() { kubectl --kubeconfig "$account" get runtimeclasses; }
runtime_class() { # NAME HANDLER LABELS
  kubectl apply -f - <<YAML
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: $1, labels: $3}
handler: $2
overhead: {podFixed: {memory: 10240Mi, sev-snp.amd.com/esids: "1"}}
scheduling: {nodeSelector: {nvidia.com/cc.ready.state: "$([ "$1" = left-over ] && echo false || echo true)"}}
YAML
}
