# SPDX-License-Identifier: Apache-2.0
# cc-manager is killed at random moments of a change; the next run always ends in the wanted mode.
node='--gpus 4 --boot-ms 200'
guest() {
  vfio-manage bind --all
  begin=$(date +%s%3N)
  switch devtools
  longest=$(($(date +%s%3N) - begin))
  RANDOM=20
  killed=0 arming=0 resetting=0
  for round in $(seq 60); do
    [ $killed -lt 24 ] || break
    mode=$([ $((round % 2)) = 1 ] && echo on || echo off)
    cc-manager --standalone --once --mode "$mode" >/run/first.log 2>&1 &
    victim=$!
    delay=$((RANDOM % longest))
    sleep "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
    if kill -9 "$victim" 2>/dev/null; then killed=$((killed + 1)); else longest=$delay; fi
    wait "$victim" 2>/dev/null || true
    case $(cat /run/nvidia/gpuhost/cc-manager.json 2>/dev/null) in
      *'"phase": "arming"'*) arming=$((arming + 1)) ;;
      *'"phase": "resetting"'*) resetting=$((resetting + 1)) ;;
    esac
    switch "$mode"
    expect "round $round, killed after $delay ms" "$mode $mode $mode $mode" "$(modes)"
  done
  echo "killed $killed times, $arming while arming, $resetting while resetting"
  [ "$killed" = 24 ] && [ $((arming + resetting)) -gt 3 ]
}
