# SPDX-License-Identifier: Apache-2.0
# The scenario plugin-recovery on the kernel with iommufd.
. "${BASH_SOURCE[0]%/*}/plugin-recovery.sh"
. "${BASH_SOURCE[0]%/*}/iommufd-kernel"
