# SPDX-License-Identifier: Apache-2.0
# The scenario plugin-group on the kernel with iommufd.
. "${BASH_SOURCE[0]%/*}/plugin-group.sh"
. "${BASH_SOURCE[0]%/*}/iommufd-kernel"
