# SPDX-License-Identifier: Apache-2.0
# A kubelet inside the virtual node: a pod gets a GPU on real vfio-pci and opens it, and from then on
# nobody takes it away.
node='--gpus 2 --memory 4096'
guest() {
  vfio-manage bind --all
  beside_kubelet pod_takes_gpu
}

pod_takes_gpu() {
  sandbox-device-plugin --reset-after-release 2>"$CLUSTER_RUN/plugin.log" &
  eventually "its CDI file is there" test -f /var/run/cdi/nvidia.com-pgpu.yaml
  static_pod "cd /dev/vfio; exec 3<>\$(ls | grep -v vfio) && echo opened \$(ls); sleep 1000"
  eventually "the pod has opened its GPU" static_pod_says opened
  expect_text "it sees one group and the container node" 'opened [0-9]+ vfio$' "$(static_pod_output)"
  in_use_are() { [ "$(gpuhostctl status | grep -c 'in use by sleep')" = "$1" ]; }
  eventually "it shows as in use" in_use_are 1
  fails 3 cc-manager --standalone --once --mode on
  # Known before anybody is asked to withdraw it, and so without the kubelet's word for its pod.
  expect_text "cc-manager says who has it" 'in use by sleep \(pid [0-9]+\)' "$output"
  fails 3 vfio-manage unbind --all --foreign # what it bound is recorded in a /run that is not seen here
  rm "$CLUSTER_RUN/static-pods/static.yaml"
  is_free() { ! gpuhostctl status | grep -q 'in use'; }
  eventually "without the pod it is free" is_free
  eventually "and reset for the next one" grep -q 'reset between users' "$CLUSTER_RUN/plugin.log"
  cc-manager --standalone --once --mode on
}
