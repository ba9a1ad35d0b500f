#!/usr/bin/env bash
# Installs what runs tests built for arm64 on this machine: QEMU's user mode.
set -euo pipefail
if ! command -v qemu-aarch64-static >/dev/null; then
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -q
  $sudo apt-get install -y -q qemu-user-static
fi
