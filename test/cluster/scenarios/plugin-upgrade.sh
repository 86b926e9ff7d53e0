# SPDX-License-Identifier: Apache-2.0
# The plugin's program is replaced while a pod has a GPU: the pod goes on with its GPU, nobody else gets
# it, also not under another kind of id, and the new program knows who has it.
cluster=''
guest() {
  fake_gpus 2
  old=$CLUSTER_RUN/old new=$CLUSTER_RUN/new
  mkdir "$old" "$new"
  cp "$(command -v sandbox-device-plugin)" "$old"
  cp "$(command -v sandbox-device-plugin)" "$new"
  "$old/sandbox-device-plugin" &
  plugin=$!
  eventually "both are allocatable" allocatable_is pgpu 2
  pod before 1
  eventually "a pod runs" runs before
  mine=$(kubectl logs before | grep -v vfio)
  container=$(kubectl get pod before -o 'jsonpath={.status.containerStatuses[0].containerID}')

  kill $plugin
  wait $plugin
  "$new/sandbox-device-plugin" --ids address &
  plugin=$!
  eventually "it is another program" runs_program "$new/sandbox-device-plugin"
  eventually "both are allocatable again" allocatable_is pgpu 2
  eventually "the pod is known with its device under its old id" has before "$mine"
  pod after 1
  eventually "another pod gets the other" runs after
  expect_text "which is not that of the first" "^4[12] vfio$" "$(kubectl logs after | xargs)"
  expect "each has one" "41 42" "$(echo "$mine $(kubectl logs after | grep -v vfio)" | tr ' ' '\n' | sort | xargs)"
  eventually "it is listed by its address" has after '0000:.*'
  expect "the first pod never ended" "$container Running" \
    "$(kubectl get pod before -o 'jsonpath={.status.containerStatuses[0].containerID} {.status.phase}')"
  kill $plugin
  wait $plugin
}
runs_program() { [ "$(readlink "/proc/$plugin/exe")" = "$1" ]; }
has() { gpuhostctl devices | grep -q "nvidia.com/pgpu=$2 .* default/$1/main"; }
