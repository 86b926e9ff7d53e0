#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The plugin's CDI files against the published schema of CDI: cdi-schema.sh PLUGIN CACHE, where PLUGIN is the
# program. Exit status 3: not on this machine, for want of Go or of a way to its modules.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
plugin=$(readlink -f "$1")
validator=$("$here/modules/build.sh" cdi-schema "$2")/cdi-schema || exit $?
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# add NUMBER: a GPU on vfio-pci with the IOMMU group and the character device of that number.
add() {
  local device=$root/sys/bus/pci/devices/0000:$1:00.0
  mkdir -p "$device/vfio-dev/vfio$1"
  echo 0x10de >"$device/vendor"
  echo 0x2331 >"$device/device"
  echo 0x030200 >"$device/class"
  ln -s ../../drivers/vfio-pci "$device/driver"
  ln -s "../../../../kernel/iommu_groups/$1" "$device/iommu_group"
}

files() { find "$root/var/run/cdi" -name '*.yaml' 2>/dev/null; }
# check WHAT OPTION...
check() {
  local what=$1 daemon file
  shift
  rm -rf "$root/var/run/cdi"
  "$plugin" --root "$root" --log-level error "$@" &
  daemon=$!
  for _ in $(seq 100); do
    [ -z "$(files)" ] || break
    sleep 0.1
  done
  kill $daemon
  wait $daemon
  file=$(files)
  [ -n "$file" ] || { echo "CDI schema: $what: no file was written"; exit 1; }
  "$validator" "$file" || { echo "CDI schema: $what: refused"; exit 1; }
}

add 41
add 42
check "groups"
check "groups by address" --ids address
mkdir -p "$root/dev" && touch "$root/dev/iommu"
check "character devices"
P_GPU_ALIAS='' check "named after the model" --ids address
# A validator that takes everything would prove nothing.
sed 's/kind:/art:/' "$(files)" >"$root/wrong.yaml"
! "$validator" "$root/wrong.yaml" >/dev/null || { echo "CDI schema: the validator takes a file without kind"; exit 1; }
echo "CDI schema: fine (4 files)"
