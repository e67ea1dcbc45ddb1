#!/usr/bin/env bash
# Sees to it that nginx and openssl are there, for the tests of what stands in front. Where that cannot be done those tests are skipped.
set -euo pipefail

has_both() { { command -v nginx || [ -x /usr/sbin/nginx ]; } >/dev/null && command -v openssl >/dev/null; }

if has_both; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi

export DEBIAN_FRONTEND=noninteractive
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
  echo "setup: installing nginx" >&2
  "${as_root[@]}" apt-get -qq update >&2 || true
  # Only the program: Debian would start it as a service on port 80.
  "${as_root[@]}" env RUNLEVEL=1 apt-get -qq install -y --no-install-recommends nginx-light openssl >&2 || true
fi
has_both || echo "setup: no nginx and openssl: the tests of deploy/nginx.conf will be skipped" >&2
