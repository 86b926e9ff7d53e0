#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# systemd-analyze must have nothing to say about the installed units: check.sh STAGE, where STAGE is
# what `DESTDIR=STAGE meson install` made.
set -euo pipefail
stage=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
units=()
for unit in "$stage"/usr/local/lib/systemd/system/gpuhost*; do
  # The programs are below the stage and not yet in place.
  sed "s|^ExecStart=/|ExecStart=$stage/|" "$unit" >"$work/$(basename "$unit")"
  units+=("$work/$(basename "$unit")")
done
said=$(SYSTEMD_UNIT_PATH="$work:/lib/systemd/system" systemd-analyze verify --man=no "${units[@]}" 2>&1 |
  grep -F "$work" || true)
[ -z "$said" ] || { printf '%s\n' "$said"; exit 1; }
echo "systemd units: fine (${#units[@]})"
