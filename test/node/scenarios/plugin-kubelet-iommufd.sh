# SPDX-License-Identifier: Apache-2.0
# The scenario plugin-kubelet on the kernel with iommufd.
. "${BASH_SOURCE[0]%/*}/plugin-kubelet.sh"
. "${BASH_SOURCE[0]%/*}/iommufd-kernel"
