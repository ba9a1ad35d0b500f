#!/usr/bin/env bash
# Installs what is measured beside freshet: hnswlib, compiled on this machine
# with -march=native, and the broker of the end-to-end tests.
set -euo pipefail
cd "$(dirname "$0")/.."
e2e/setup.sh
env=.cache/python-bench
if ! { [ -f $env/stamp ] && [ "$(cat $env/stamp)" = "$(sha256sum <bench/requirements.txt)" ]; }; then
  rm -rf $env
  python3 -m venv $env
  $env/bin/pip install -q --disable-pip-version-check -r bench/requirements.txt
  sha256sum <bench/requirements.txt >$env/stamp
fi
