# SPDX-License-Identifier: Apache-2.0
# An administrator binds GPUs and switches their mode with gpuhostctl alone, and is told when a daemon
# looks after them.
node='--gpus 2 --boot-ms 300'
guest() {
  plan=$(gpuhostctl vfio plan --all)
  expect_text "a plan of binding" '0000:..:00.0' "$plan"
  expect "which binds nothing" 0 "$(bound)"
  gpuhostctl vfio bind --all
  expect "binding binds all" 2 "$(bound)"

  expect "the mode of all in one word" off "$(gpuhostctl cc get)"
  plan=$(gpuhostctl cc plan on)
  expect_text "a plan of the change" '0000:..:00.0' "$plan"
  expect "which changes nothing" off "$(gpuhostctl cc get)"
  gpuhostctl cc set on
  expect "the mode is set" on "$(gpuhostctl cc get)"
  expect "for programs, too" '{"schema":1,"mode":"on"}' "$(gpuhostctl cc get --json)"
  fails 1 gpuhostctl cc set sideways
  expect_text "the change is remembered" ' off +on +2 .* done ' "$(gpuhostctl events)"
  expect_text "both can be attested" '"able": \[ "0000:..:00.0", "0000:..:00.0" \]' \
    "$(gpuhostctl attestation --json | tr -s '\n ' ' ')"

  rm /run/nvidia/gpuhost/cc-manager.json # what the change by hand has left
  cc-manager --standalone --mode on &
  eventually "the daemon lives, and says so" test -e /run/nvidia/gpuhost/cc-manager.json
  refusal=$(gpuhostctl cc set off 2>&1) && exit 1
  expect_text "then it is the one to tell" 'tell it another' "$refusal"
  gpuhostctl cc plan off >/dev/null
  expect "and nothing has changed" on "$(gpuhostctl cc get)"
  expect_text "what it does can be watched" '^mode on: steady$' "$(gpuhostctl top)"

  # shellcheck disable=SC1090
  . <(gpuhostctl completion bash)
  COMP_WORDS=(gpuhostctl cc set d) COMP_CWORD=3
  _gpuhostctl
  expect "words are completed" devtools "${COMPREPLY[*]}"
  COMP_WORDS=(gpuhostctl vfio bind --al) COMP_CWORD=3
  _gpuhostctl
  expect "and those of vfio-manage" "--all --allow" "${COMPREPLY[*]}"
}

bound() { ls -d /sys/bus/pci/drivers/vfio-pci/0000:* 2>/dev/null | wc -l; }
