# SPDX-License-Identifier: Apache-2.0
# NVIDIA's own gpu-admin-tools and ours agree, both ways. The tool is not part of this repository:
# GPU_ADMIN_TOOLS names a checkout of it.
node='--gpus 2 --boot-ms 300'
[ -n "${GPU_ADMIN_TOOLS:-}" ] || skip='GPU_ADMIN_TOOLS does not name a checkout of gpu-admin-tools'
vendor() { python3 "$GPU_ADMIN_TOOLS/nvidia_gpu_tools.py" "$@" 2>&1; }
guest() {
  vfio-manage bind --all
  expect_text "it sees off" 'CC mode is off' "$(vendor --gpu=0 --query-cc-mode)"

  vendor --gpu=0 --set-cc-mode=on --reset-after-cc-mode-switch
  expect "we see what it set" "on off" "$(modes)"
  switch devtools
  expect_text "it sees what we set" 'CC mode is devtools' "$(vendor --gpu=0 --query-cc-mode)"
  expect_text "also on the other" 'CC mode is devtools' "$(vendor --gpu=1 --query-cc-mode)"

  vendor --gpu=1 --set-cc-mode=off
  expect_text "what it armed is seen" '"pending": "off"' "$(gpuhostctl status --ask-firmware --json)"
  expect "effective is as before" "devtools devtools" "$(modes)"
  switch devtools
  expect "and is disarmed" "" "$(gpuhostctl status --ask-firmware | grep armed || true)"
}
