#!/usr/bin/env bash
# Makes .venv and installs the locked packages: tools/setup.sh runtime|dev
# Costs nothing when there is nothing to do. A .venv that holds the dev set is kept as such, whatever is asked.
set -euo pipefail
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9
NEWEST_FIRST="python3.14 python3.13 python3.12 python3.11 python3"

fail() {
  echo "setup: $*" >&2
  exit 1
}

lock_of() { if [ "$1" = dev ]; then echo requirements-dev.txt; else echo requirements.txt; fi; }

# A lock's fingerprint, with the Python it was installed for.
state_of() { echo "$(cksum <"$(lock_of "$1")") $(.venv/bin/python -V)"; }

is_installed() { [ -f ".venv/installed-$1" ] && [ "$(cat ".venv/installed-$1")" = "$(state_of "$1" 2>/dev/null)" ]; }

usable() { "$1" -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; }

# The newest Python there is; with $1 = complete only one that can make an environment with pip.
find_python() {
  local name
  for name in $NEWEST_FIRST; do
    if usable "$name" && { [ "$1" != complete ] || "$name" -c "import ensurepip, venv" 2>/dev/null; }; then
      echo "$name"
      return
    fi
  done
  return 1
}

# Debian and Ubuntu ship Python without what `python3 -m venv` needs.
install_venv() {
  local python=$1 package
  package=$("$python" -c "import sys; print(f'python3.{sys.version_info.minor}-venv')")
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail "$python lacks the venv module: install the package $package (Debian, Ubuntu: sudo apt-get install $package), then try again"
  fi
  echo "setup: installing $package" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$package"; } >&2 || fail "apt-get could not install $package"
}

make_environment() {
  local python
  if ! python=$(find_python complete); then
    python=$(find_python any) || fail "no Python 3.11 or newer: install python3 and python3-venv"
    install_venv "$python"
  fi
  echo "setup: making .venv with $("$python" -V)" >&2
  "$python" -m venv --clear .venv
}

pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }

install_packages() {
  echo "setup: installing the packages of $1" >&2
  .venv/bin/python -m uv --version 2>/dev/null | grep -q " $UV_VERSION" || pip install "uv==$UV_VERSION" >&2 ||
    echo "setup: no uv, going on with pip" >&2
  if ! VIRTUAL_ENV="$PWD/.venv" .venv/bin/python -m uv --quiet pip sync --require-hashes "$1"; then
    echo "setup: uv did not manage, trying pip" >&2
    pip install --require-hashes -r "$1"
  fi
}

kind=${1:-runtime}
case $kind in runtime | dev) ;; *) fail "runtime or dev, not $kind" ;; esac
if [ -f .venv/installed-dev ] || [ -x .venv/bin/pytest ]; then kind=dev; fi

if ! is_installed "$kind"; then
  if ! usable .venv/bin/python || ! .venv/bin/python -c "import pip" 2>/dev/null; then make_environment; fi
  rm -f .venv/installed-*
  install_packages "$(lock_of "$kind")"
  state_of "$kind" >".venv/installed-$kind"
fi
