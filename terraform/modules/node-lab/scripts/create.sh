#!/usr/bin/env bash
# Makes a node (NODE in PROJECT, from IMAGE) without starting it. One that exists stays as it is if it is OWNER's.
set -euo pipefail
incus() { command ${SUDO:+sudo -n --preserve-env=INCUS_DIR} incus --project "$PROJECT" "$@" </dev/null; }

if incus config show "$NODE" >/dev/null 2>&1; then
  found=$(incus config get "$NODE" user.millrace.owner)
  if [ "$found" != "$OWNER" ]; then
    echo "$NODE in the Incus project $PROJECT belongs to owner '${found:-nobody}', not to $OWNER" >&2
    exit 1
  fi
  exit 0
fi
incus init "$IMAGE" "$NODE" --config user.millrace.owner="$OWNER"
