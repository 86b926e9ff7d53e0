# SPDX-License-Identifier: Apache-2.0
# With an empty alias the resource carries the model's name, as Kubernetes accepts it.
cluster=''
guest() {
  fake_gpus 1
  P_GPU_ALIAS= sandbox-device-plugin &
  eventually "the model's name is allocatable" allocatable_is GH100_H100_PCIE 1
}
