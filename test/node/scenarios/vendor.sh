# SPDX-License-Identifier: Apache-2.0
# NVIDIA's own gpu-admin-tools and ours agree, both ways. The tool is not part of this repository:
# GPU_ADMIN_TOOLS names a checkout of it.
node='--gpus 2 --boot-ms 300'
[ -n "${GPU_ADMIN_TOOLS:-}" ] || skip='GPU_ADMIN_TOOLS does not name a checkout of gpu-admin-tools'
vendor() { python3 "$GPU_ADMIN_TOOLS/nvidia_gpu_tools.py" "$@" 2>&1; }
# Releases until 2025 said so in a sentence, later ones in JSON.
sees() { expect_text "$1" "CC mode is $2|\"cc_mode\": \"$2\"" "$(vendor --gpu="$3" --query-cc-mode)"; }
guest() {
  vfio-manage bind --all
  sees "it sees off" off 0

  vendor --gpu=0 --set-cc-mode=on --reset-after-cc-mode-switch
  expect "we see what it set" "on off" "$(modes)"
  switch devtools
  sees "it sees what we set" devtools 0
  sees "also on the other" devtools 1

  vendor --gpu=1 --set-cc-mode=off
  expect_text "what it armed is seen" '"pending": "off"' "$(gpuhostctl status --ask-firmware --json)"
  expect "effective is as before" "devtools devtools" "$(modes)"
  switch devtools
  expect "and is disarmed" "" "$(gpuhostctl status --ask-firmware | grep armed || true)"
}
