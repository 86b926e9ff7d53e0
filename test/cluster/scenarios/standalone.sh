# SPDX-License-Identifier: Apache-2.0
# A kubelet without API server: a static pod gets its device.
cluster='--no-apiserver'
guest() {
  fake_gpus 1
  sandbox-device-plugin &
  logs() { cat /var/log/pods/*static*/main/*.log 2>/dev/null; }
  sees_device() { logs | grep -q 'vfio$'; }
  eventually "its CDI file is there" test -f /var/run/cdi/nvidia.com-pgpu.yaml
  cat >"$CLUSTER_RUN/static-pods/static.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: static, namespace: default}
spec:
  hostNetwork: true
  containers:
  - name: main
    image: $CLUSTER_IMAGE
    imagePullPolicy: Never
    command: [sh, -c, "ls /dev/vfio; sleep 1000"]
    resources: {limits: {nvidia.com/pgpu: "1"}}
YAML
  eventually "the static pod has it" sees_device
  expect_text "and no other" ' 41$' "$(logs)"
}
