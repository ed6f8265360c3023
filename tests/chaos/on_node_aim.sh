#!/bin/sh
# Runs on the apps node: UNIT STATUS. Kills a naive sink between its two commits, which its status file tells of:
# frozen first, so that it can't leave the place between the look and the kill.
set -eu
unit=$1 status=$2
tries=1200
while [ "$tries" -gt 0 ]; do
  tries=$((tries - 1))
  process=$(systemctl show -P MainPID "$unit")
  if [ "$process" -gt 0 ] && kill -STOP "$process" 2>/dev/null; then
    if grep -q between "$status"; then
      kill -KILL "$process"
      exit 0
    fi
    kill -CONT "$process"
  fi
  sleep 0.05
done
echo "$unit was never between its commits" >&2
exit 1
