#!/usr/bin/env bash
# Removes a node (NODE in PROJECT) if it is OWNER's; one that is gone already is fine.
set -euo pipefail
incus() { command ${SUDO:+sudo -n --preserve-env=INCUS_DIR} incus --project "$PROJECT" "$@" </dev/null; }

incus config show "$NODE" >/dev/null 2>&1 || exit 0
found=$(incus config get "$NODE" user.millrace.owner)
if [ "$found" != "$OWNER" ]; then
  echo "$NODE in the Incus project $PROJECT belongs to owner '${found:-nobody}' and is left alone" >&2
  exit 0
fi
incus delete --force "$NODE"
