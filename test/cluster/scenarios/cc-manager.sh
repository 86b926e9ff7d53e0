# SPDX-License-Identifier: Apache-2.0
# cc-manager on a virtual node with two GPUs: reads its node's label from the real API server, with the
# rights that the GPU Operator grants it and no others, and answers with the state labels.
cluster='--no-kubelet'
guest() {
  operator_rights
  kubectl create serviceaccount reader
  kubectl create clusterrole reader --verb=get --resource=nodes
  kubectl create clusterrolebinding reader --clusterrole=reader --serviceaccount=default:reader
  reader=$(cluster-kubeconfig service-account default reader)
  export KUBECONFIG reader
  on_virtual_node switch_by_label --gpus 2
}

labels() { kubectl get node gpu-node -o go-template='{{range $k, $v := .metadata.labels}}{{$k}}={{$v}} {{end}}'; }
label() { kubectl label node gpu-node --overwrite "$@"; }

switch_by_label() {
  manage() { NODE_NAME=gpu-node cc-manager --once --kubeconfig "$account" "$@"; }
  vfio-manage bind --all
  expect "no label, no confidential host: off" 0 "$(manage >&2; echo $?)"
  expect_text "and so the labels" 'cc.mode.state=off nvidia.com/cc.ready.state=false zone=a' "$(labels)"

  label nvidia.com/cc.mode=on
  manage
  expect "both GPUs are on" 2 "$(gpuhostctl status | grep -c ' on ')"
  expect "the state labels say so, the others stay" \
    "nvidia.com/cc.mode=on nvidia.com/cc.mode.state=on nvidia.com/cc.ready.state=true zone=a " "$(labels)"

  label nvidia.com/cc.mode=always
  fails 3 manage
  expect_text "what can be asked for is said" "'always'.*off, on, devtools" "$output"
  expect_text "not ready" 'cc.mode.state=failed nvidia.com/cc.ready.state= ' "$(labels)"
  expect "nothing has changed" 2 "$(gpuhostctl status | grep -c ' on ')"

  label nvidia.com/cc.mode=devtools
  account=$reader fails 3 manage
  expect_text "the missing right is named" 'cannot patch resource \\"nodes\\"' "$output"
  manage
  expect_text "with it, all is told" 'cc.mode.state=devtools nvidia.com/cc.ready.state= ' "$(labels)"
}
