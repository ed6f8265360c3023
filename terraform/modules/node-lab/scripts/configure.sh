#!/usr/bin/env bash
# Gives a node its limits, address, filters against false ones and SSH key, starts it, and waits until systemd has started.
set -euo pipefail
incus() { command ${SUDO:+sudo -n --preserve-env=INCUS_DIR} incus --project "$PROJECT" "$@"; }

device() { # DEVICE KEY=VALUE...: the first setting makes the profile's device one of the node's own
  local verb=override
  if incus config device list "$NODE" | grep -x "$1" >/dev/null; then verb="set"; fi
  incus config device "$verb" "$NODE" "$@"
}

incus config set "$NODE" limits.cpu="$CORES" limits.memory="${MEMORY}MiB"
device root size="${DISK}GiB"
before=$(incus config device get "$NODE" eth0 ipv4.address 2>/dev/null || true)
# In one step: Incus wants the address for the filter. Words on purpose.
# shellcheck disable=SC2086
device eth0 ipv4.address="$ADDRESS" $FILTERS

state=$(incus list "^$NODE\$" --format csv --columns s)
if [ "$state" != RUNNING ]; then
  incus start "$NODE"
elif [ -n "$before" ] && [ "$before" != "$ADDRESS" ]; then
  incus restart "$NODE" # a lease lives on until the node asks for another one
fi
# Pushed through the daemon, so that the first SSH connection is already an authenticated one.
printf '%s\n' "$KEY" | incus file push --quiet --uid 1000 --gid 1000 --mode 0600 - \
  "$NODE/home/millrace/.ssh/authorized_keys"

for ((second = 0; second < 300; second++)); do
  case $(incus exec "$NODE" -- systemctl is-system-running 2>/dev/null </dev/null || true) in
    running | degraded) exit 0 ;; # "degraded": a unit failed, which the roles' health checks judge
  esac
  if [ "$(incus list "^$NODE\$" --format csv --columns s)" = STOPPED ]; then
    echo "$NODE stopped while it started; see: incus info --show-log --project $PROJECT $NODE" >&2
    exit 1
  fi
  sleep 1
done
echo "$NODE: systemd did not finish starting within 300 s; see: incus exec --project $PROJECT $NODE -- systemctl list-jobs" >&2
exit 1
