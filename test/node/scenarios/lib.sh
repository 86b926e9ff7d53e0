# SPDX-License-Identifier: Apache-2.0
# What scenarios share; sourced in the node.

# expect WHAT EXPECTED ACTUAL
expect() {
  [ "$2" = "$3" ] && { echo "ok: $1"; return; }
  echo "NOT ok: $1: expected '$2', found '$3'"
  return 1
}

# expect_text WHAT PATTERN TEXT: TEXT matches the extended regular expression.
expect_text() {
  grep -Eq -- "$2" <<<"$3" && { echo "ok: $1"; return; }
  echo "NOT ok: $1: no match for '$2' in:"
  echo "$3"
  return 1
}

# fails STATUS COMMAND...: the command ends with this status; its output is in $output.
fails() {
  local wanted=$1 status=0
  shift
  output=$("$@" 2>&1) || status=$?
  echo "$output"
  expect "exit status of $*" "$wanted" "$status"
}

modes() { gpuhostctl status --json | sed -n 's/.*"mode": "\{0,1\}\([a-z]*\)"\{0,1\},/\1/p' | xargs; }
drivers() { for d in /sys/bus/pci/devices/*; do [ "$(cat "$d/vendor")" != 0x10de ] || basename "$(readlink "$d/driver" || echo none)"; done | xargs; }
switch() { cc-manager --standalone --once --mode "$@"; }
bdf() { lspci -Dd 10de: | sed -n "$(($1 + 1))s/ .*//p"; }
