#!/bin/sh
# Restart a unit whose process is older than one of the files that it read when it started.
# usage: restart-if-older.sh UNIT check|restart BEFORE AFTER FILE...
# BEFORE and AFTER are commands. The last line of the output is "restart" where one was due, else "current".
set -eu
unit=$1 mode=$2 before=$3 after=$4
shift 4

started=$(systemctl show --property ExecMainStartTimestamp --value --timestamp=unix "${unit}")
started=${started#@}
if [ -z "${started}" ] || ! systemctl is-active --quiet "${unit}"; then
  echo "current"  # it reads its files when it starts
  exit 0
fi

due=
for file in "$@"; do
  changed=$(stat --format %Y "${file}" 2>/dev/null || echo 0)
  [ "${changed}" -le "${started}" ] || due="${due} ${file}"
done
if [ -n "${due}" ] && [ "${mode}" = restart ]; then
  echo "newer than the process:${due}"
  sh -c "${before}"
  systemctl restart "${unit}"
  sh -c "${after}"
fi
[ -n "${due}" ] && echo "restart" || echo "current"
