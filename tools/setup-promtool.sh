#!/usr/bin/env bash
# Sees to it that promtool is there, for the tests of deploy/prometheus. Where that cannot be done those tests are skipped.
set -euo pipefail

if command -v promtool >/dev/null; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi

export DEBIAN_FRONTEND=noninteractive
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
  echo "setup: installing promtool" >&2
  "${as_root[@]}" apt-get -qq update >&2 || true
  # Debian's package would start a server on port 9090, and would do so after a restart: a program that refuses every start stands in for it.
  barred=/usr/sbin/policy-rc.d
  if [ ! -e "$barred" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$barred" >/dev/null && "${as_root[@]}" chmod 755 "$barred"
    trap '"${as_root[@]}" rm -f "$barred"' EXIT
  fi
  "${as_root[@]}" apt-get -qq install -y --no-install-recommends prometheus >&2 || true
  if command -v systemctl >/dev/null; then "${as_root[@]}" systemctl disable --quiet prometheus 2>/dev/null || true; fi
fi
command -v promtool >/dev/null || echo "setup: no promtool: the tests of deploy/prometheus will be skipped" >&2
