#!/usr/bin/env bash
# Installs what is measured beside freshet: hnswlib, compiled on this machine
# with -march=native, faiss and usearch, and the broker of the end-to-end tests.
# A package that cannot be installed is reported here and, as missing, in the
# tables.
set -euo pipefail
cd "$(dirname "$0")/.."
env=.cache/python-bench
if ! { [ -f $env/stamp ] && [ "$(cat $env/stamp)" = "$(sha256sum <bench/requirements.txt)" ]; }; then
  rm -rf $env
  if python3 -m venv $env; then
    complete=yes
    while read -r package; do
      $env/bin/pip install -q --disable-pip-version-check --no-binary hnswlib "$package" ||
        { complete=no; echo "bench/setup.sh: $package cannot be installed" >&2; }
    done <bench/requirements.txt
    if [ $complete = yes ]; then sha256sum <bench/requirements.txt >$env/stamp; fi
  else
    echo "bench/setup.sh: no Python, so nothing to compare with" >&2
  fi
fi
if [ "${1-}" != peers ]; then e2e/setup.sh; fi
