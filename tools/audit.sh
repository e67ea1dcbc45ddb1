#!/usr/bin/env bash
# Holds the locked packages against published advisories, in an environment of its own.
# Ends with 0: none known; 1: some found; 3: no advisories could be read, so nothing is known; 2: the tool could not be installed.
set -uo pipefail
cd "$(dirname "$0")/.."

PIP_AUDIT_VERSION=2.9.0
TOOLS=${AUDIT_TOOLS:-.venv-audit}

if [ ! -x "$TOOLS/bin/pip-audit" ]; then
  echo "audit: making $TOOLS with pip-audit $PIP_AUDIT_VERSION" >&2
  { python3 -m venv "$TOOLS" && "$TOOLS/bin/pip" --quiet --disable-pip-version-check install "pip-audit==$PIP_AUDIT_VERSION"; } >&2 || {
    rm -rf "$TOOLS"
    echo "audit: pip-audit could not be installed: nothing was held against anything" >&2
    exit 2
  }
fi

said=$(mktemp)
trap 'rm -f "$said"' EXIT
for lock in requirements.txt requirements-dev.txt; do
  "$TOOLS/bin/pip-audit" --disable-pip --require-hashes --progress-spinner off --timeout 20 --requirement "$lock" >"$said" 2>&1
  code=$?
  cat "$said"
  if [ $code != 0 ]; then
    # With findings it says how many; with anything else it never came to look.
    if grep -qE "^Found [0-9]+ known vulnerabilit" "$said"; then exit 1; fi
    echo "audit: NOT DONE: the advisories could not be read, so nothing is known about $lock" >&2
    exit 3
  fi
  # Where its source knows no package it ends with 0 all the same.
  if unknown=$(grep -c "could not be audited" "$said") && [ "$unknown" != 0 ]; then
    echo "audit: NOT DONE: of $unknown packages in $lock no advisories could be read" >&2
    exit 3
  fi
done
echo "audit: no known vulnerability in what is locked"
