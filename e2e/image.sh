#!/usr/bin/env bash
# Builds the image of the Dockerfile as it is, without an engine and a registry, runs it as
# a cluster would (read-only root, no capabilities, no root, bounded memory), and searches.
# Root is needed, or sudo.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec sudo --preserve-env=PATH,GOPROXY,GOMODCACHE,GOCACHE "$0"

missing=()
for tool in buildah podman crun; do command -v $tool >/dev/null || missing+=("$tool"); done
[ -x /bin/busybox ] || missing+=(busybox-static)
[ -f /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
if ((${#missing[@]})); then
  apt-get update -q
  apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

store=$(mktemp -d)
storage=(--root "$store/root" --runroot "$store/run" --storage-driver vfs)
image() { buildah "${storage[@]}" "$@"; }

# A name space of mounts of its own, in which podman finds no half of cgroup v2.
inside() { unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"' sh "$@"; }
run_podman() { inside podman "${storage[@]}" --cgroup-manager cgroupfs "$@"; }

finish() {
  status=$?
  trap - EXIT
  if [ -f "$store/id" ]; then
    [ $status = 0 ] || run_podman logs "$(cat "$store/id")" >&2 || true
    run_podman rm -f "$(cat "$store/id")" >/dev/null || true
  fi
  rm -rf "$store"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

# What the Dockerfile takes from golang:1.26: Go, a shell, the authorities.
base=$(image from scratch)
tree=$(image mount "$base")
mkdir -p "$tree"/{bin,etc/ssl/certs,tmp,root,go,usr/local/go}
cp /bin/busybox "$tree/bin/busybox"
for applet in sh mkdir; do ln "$tree/bin/busybox" "$tree/bin/$applet"; done
cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
goroot=$(go env GOROOT)
cp -r "$goroot"/{bin,pkg,src,VERSION,go.env} "$tree/usr/local/go/"
image umount "$base" >/dev/null
image config --env PATH=/usr/local/go/bin:/bin --env GOPATH=/go --env GOTOOLCHAIN=local --env GOPROXY="$(go env GOPROXY)" "$base"
image commit -q --rm "$base" docker.io/library/golang:1.26 >/dev/null

image bud --isolation chroot --pull-never --format docker \
  --volume "$(go env GOMODCACHE):/go/pkg/mod" --volume "$(go env GOCACHE):/root/.cache/go-build" \
  --build-arg VERSION=image-test -t freshet:test . >/dev/null
image inspect --type image --format '{{.OCIv1.Config.User}}' freshet:test | grep -qx '65532:65532'

# start ARGUMENTS…: the container as Kubernetes runs it, on the host's loopback
start() {
  run_podman run -d --network host --read-only --cap-drop ALL --security-opt no-new-privileges \
    --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --memory 512m "$@" >"$store/id"
}

# Without a key it refuses to listen to others.
if run_podman run --rm --network host --read-only --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 freshet:test 2>"$store/refused"; then
  echo "it listens to everybody without a key" >&2 && exit 1
fi
grep -q 'http.api_key' "$store/refused"

port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf 'image-test-key' >"$store/api-key"
chmod 444 "$store/api-key"
echo "http: {listen: '127.0.0.1:$port', api_key: '\${file:/etc/freshet/api-key}'}" >"$store/freshet.yaml"
start -v "$store/api-key:/etc/freshet/api-key:ro" -v "$store/freshet.yaml:/etc/freshet/freshet.yaml:ro" \
  -e FRESHET_LISTEN="127.0.0.1:$port" freshet:test serve --config /etc/freshet/freshet.yaml
k8s/verify.sh "http://127.0.0.1:$port" "$store/api-key"
id=$(cat "$store/id")
run_podman exec "$id" /freshet health --url "http://127.0.0.1:$port"
run_podman exec "$id" /freshet version | grep -q image-test
if run_podman exec "$id" /freshet health --url http://127.0.0.1:1 2>/dev/null; then
  echo "the health check is content with nothing" >&2 && exit 1
fi

# It ends when it is told to, not when it is killed.
run_podman stop -t 20 "$id" >/dev/null
[ "$(run_podman inspect --format '{{.State.ExitCode}}' "$id")" = 0 ]
echo "the image was built, and it works"
