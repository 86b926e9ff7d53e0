# SPDX-License-Identifier: Apache-2.0
# What the scenarios of all tiers share; sourced where they run.

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

# eventually WHAT COMMAND...: true within 60 s; others work beside us.
eventually() {
  local what=$1
  shift
  for _ in $(seq 600); do
    "$@" && { echo "ok: $what"; return; }
    sleep 0.1
  done
  echo "NOT ok: $what"
  return 1
}
