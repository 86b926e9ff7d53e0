# SPDX-License-Identifier: Apache-2.0
# The scenario plugin-mixed on the kernel with iommufd.
. "${BASH_SOURCE[0]%/*}/plugin-mixed.sh"
. "${BASH_SOURCE[0]%/*}/iommufd-kernel"
