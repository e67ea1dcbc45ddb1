#!/usr/bin/env bash
# Sees to it that Chromium and its driver are there, for the browser tests.
set -euo pipefail

has_browser() { { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; }
has_driver() { command -v chromedriver >/dev/null; }

if has_browser && has_driver; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi

export DEBIAN_FRONTEND=noninteractive
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
  echo "setup: installing Chromium and its driver" >&2
  "${as_root[@]}" apt-get -qq update >&2 || true
  "${as_root[@]}" apt-get -qq install -y --no-install-recommends chromium chromium-driver >&2 || true
fi
if has_browser && has_driver; then exit 0; fi

echo "setup: the browser tests need Chromium and chromedriver." >&2
echo "setup: Debian: sudo apt-get install chromium chromium-driver; elsewhere your system's packages of these names." >&2
exit 1
