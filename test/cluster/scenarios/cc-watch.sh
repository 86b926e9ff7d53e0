# SPDX-License-Identifier: Apache-2.0
# cc-manager as a daemon follows its node's label, through a restart of the API server, a node that is
# deleted and comes back, and an administrator who cannot decide.
cluster='--no-kubelet'
guest() {
  cluster-part stop kube-controller-manager # it would delete a node that no kubelet looks after
  operator_rights
  kubectl label node gpu-node nvidia.com/cc.mode=off
  log=$CLUSTER_RUN/node.log
  on_virtual_node follow --gpus 2 --boot-ms 500 >"$log" 2>&1 &
  trap 'kill $!; cat $log' EXIT
  eventually "the mode of the start" state_is off false

  kubectl label node gpu-node nvidia.com/cc.mode=on --overwrite
  eventually "a label is followed without a restart" state_is on true

  cluster-part kill kube-apiserver
  cluster-part start kube-apiserver
  eventually "the API server is back" kubectl get --raw /readyz
  kubectl label node gpu-node nvidia.com/cc.mode=devtools --overwrite
  eventually "and its labels are followed" state_is devtools ""

  kubectl get node gpu-node -o yaml | sed '/uid:\|resourceVersion:\|creationTimestamp:/d; /cc\..*state/d; s/cc.mode: devtools/cc.mode: "off"/' >"$CLUSTER_RUN/node.yaml"
  kubectl delete node gpu-node
  kubectl create -f "$CLUSTER_RUN/node.yaml"
  eventually "a node that comes back is told too" state_is off false

  before=$(switches)
  for _ in $(seq 25); do
    kubectl label node gpu-node nvidia.com/cc.mode=on --overwrite
    kubectl label node gpu-node nvidia.com/cc.mode=devtools --overwrite
  done >/dev/null
  eventually "after fifty changes of mind the last one counts" state_is devtools ""
  echo "changes of two GPUs in between: $((($(switches) - before) / 2))"
  expect "and nothing failed" 0 "$(grep -c 'not switched' "$log")"
}

follow() {
  vfio-manage bind --all
  exec cc-manager --node-name gpu-node --kubeconfig "$account"
}
label() { kubectl get node gpu-node -o "jsonpath={.metadata.labels.nvidia\.com/$1}"; }
state_is() { [ "$(label 'cc\.mode\.state')/$(label 'cc\.ready\.state')" = "$1/$2" ]; }
switches() { grep -c ' switched ' "$log"; }
