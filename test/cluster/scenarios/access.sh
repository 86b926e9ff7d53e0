# SPDX-License-Identifier: Apache-2.0
# The bench gives out identities with just the rights that they should have.
cluster='--no-kubelet'
guest() {
  kubectl create namespace gpu-operator
  kubectl create serviceaccount cc-manager --namespace gpu-operator
  kubectl create clusterrole cc-manager --verb=get,patch --resource=nodes
  kubectl create clusterrolebinding cc-manager --clusterrole=cc-manager --serviceaccount=gpu-operator:cc-manager
  kubectl apply -f - <<YAML
apiVersion: v1
kind: Node
metadata: {name: $CLUSTER_NODE, labels: {nvidia.com/cc.mode: "on"}}
YAML
  account=$(cluster-kubeconfig service-account gpu-operator cc-manager)
  as_account() { kubectl --kubeconfig "$account" "$@"; }
  expect "the label is read" on "$(as_account get node "$CLUSTER_NODE" -o 'jsonpath={.metadata.labels.nvidia\.com/cc\.mode}')"
  as_account label node "$CLUSTER_NODE" nvidia.com/cc.mode.state=on
  fails 1 as_account delete node "$CLUSTER_NODE"
  expect_text "no more than that" 'Forbidden' "$output"
  fails 1 as_account get pods
  expect_text "nor pods" 'Forbidden' "$output"

  as_node() { kubectl --kubeconfig "$(cluster-kubeconfig node)" "$@"; }
  as_node label node "$CLUSTER_NODE" nvidia.com/cc.capable=true
  fails 1 as_node label node "$CLUSTER_NODE" node-restriction.kubernetes.io/x=y
  expect_text "NodeRestriction is on" 'forbidden' "$output"
}
