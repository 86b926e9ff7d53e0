# SPDX-License-Identifier: Apache-2.0
# What ./dev bench runs inside a virtual node with eight GPUs.
set -euo pipefail
vfio-manage bind --all 2>/dev/null
for mode in on off on; do
  cc-manager --standalone --once --mode "$mode" 2>&1 | grep 'all GPUs'
done
