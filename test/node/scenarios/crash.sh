# SPDX-License-Identifier: Apache-2.0
# cc-manager is killed at random moments of a change; the next run always ends in the wanted mode.
node='--gpus 4 --boot-ms 200'
guest() {
  vfio-manage bind --all
  RANDOM=20
  interrupted=0
  for round in $(seq 24); do
    mode=$([ $((round % 2)) = 1 ] && echo on || echo off)
    switch "$mode" >/run/first.log 2>&1 &
    victim=$!
    delay=$((RANDOM % 900))
    sleep "$(printf '0.%03d' "$delay")"
    kill -9 "$victim" 2>/dev/null && interrupted=$((interrupted + 1)) || true
    wait "$victim" 2>/dev/null || true
    switch "$mode"
    expect "round $round, killed after $delay ms" "$mode $mode $mode $mode" "$(modes)"
  done
  echo "interrupted $interrupted of 24"
  [ "$interrupted" -ge 20 ]
}
