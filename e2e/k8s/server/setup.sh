#!/usr/bin/env bash
# Puts what the tests of this folder need under .cache of the repository: kubectl; etcd, of
# Debian's package, which is unpacked, not installed, since that would start a service; and
# the API server, compiled from its module.
set -euo pipefail
cd "$(dirname "$0")"
cache=$(cd ../../.. && pwd)/.cache

if ! [ -x "$cache/etcd/usr/bin/etcd" ]; then
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  (
    cd "$dir"
    sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    apt-get download -q etcd-server || { "${sudo[@]}" apt-get update -q && apt-get download -q etcd-server; }
  )
  mkdir -p "$cache/etcd"
  dpkg-deb -x "$dir"/etcd-server_*.deb "$cache/etcd"
fi

if ! [ -x "$cache/python-k8s/bin/kubectl" ]; then
  python3 -m venv "$cache/python-k8s"
  "$cache/python-k8s/bin/pip" install -q --disable-pip-version-check -r ../../requirements-k8s.txt
fi

# Without symbols for a debugger: that saves a good part of what the linker does.
go build -trimpath -ldflags '-s -w' -o "$cache/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver
