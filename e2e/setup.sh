#!/usr/bin/env bash
# Installs what the end-to-end tests run against: an Apache Kafka broker, Apache
# Flink, Prometheus, a store that speaks S3, five Python environments, a client in JavaScript
# and what drives a browser, under .cache; the browser itself comes from the system. What is there already
# stays.
set -euo pipefail
cd "$(dirname "$0")/.."
here=e2e
cache=.cache

# A failed download is tried again: registries have bad moments.
retry() {
  for pause in 2 10 30; do
    "$@" && return 0
    echo "trying again in $pause s: $*" >&2
    sleep "$pause"
  done
  "$@"
}

missing=()
command -v javac >/dev/null || missing+=(openjdk-17-jdk-headless)
command -v mvn >/dev/null || missing+=(maven)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
command -v npm >/dev/null || missing+=(nodejs npm)
command -v chromium >/dev/null || missing+=(chromium)
command -v shellcheck >/dev/null || missing+=(shellcheck)
command -v strace >/dev/null || missing+=(strace)
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
if ((${#missing[@]})); then
  retry "${sudo[@]}" apt-get update -q
  retry "${sudo[@]}" apt-get install -y -q "${missing[@]}"
fi
hnsw/setup.sh # other processors

# The tests of disks trace the server, and mount one for it in a name space of users: some
# systems keep that from others than root.
if ((${#sudo[@]})); then
  for setting in kernel.yama.ptrace_scope kernel.apparmor_restrict_unprivileged_userns; do
    [ ! -e "/proc/sys/${setting//./\/}" ] || sudo sysctl -q -w $setting=0
  done
fi

# Debian's package is unpacked, not installed: that would start a service.
if ! [ -x $cache/prometheus/usr/bin/promtool ]; then
  dir=$(mktemp -d)
  (
    cd "$dir"
    apt-get download -q prometheus || { retry "${sudo[@]}" apt-get update -q && retry apt-get download -q prometheus; }
  )
  mkdir -p $cache/prometheus
  dpkg-deb -x "$dir"/prometheus_*.deb $cache/prometheus
  rm -rf "$dir"
fi

# A stamp holds the checksum of what was asked for.
fresh() { [ -f "$1" ] && [ "$(cat "$1")" = "$(sha256sum <"$2")" ]; }
stamp() { sha256sum <"$2" >"$1"; }

if ! fresh $cache/kafka/stamp $here/pom.xml; then
  rm -rf $cache/kafka
  mkdir -p $cache/kafka
  retry mvn -q -B -f $here/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD/$cache/kafka/libs"
  stamp $cache/kafka/stamp $here/pom.xml
fi

# The parent of flink-model-openai is not published: its jar alone is fetched.
if ! fresh $cache/flink/stamp $here/flink.xml; then
  rm -rf $cache/flink
  mkdir -p $cache/flink
  retry mvn -q -B -f $here/flink.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD/$cache/flink/libs"
  retry mvn -q -B -f $here/flink.xml dependency:copy -Dartifact=org.apache.flink:flink-model-openai:2.3.0 -DoutputDirectory="$PWD/$cache/flink/libs"
  stamp $cache/flink/stamp $here/flink.xml
fi

for env in article newest clients embed k8s; do
  requirements=$here/requirements-$env.txt
  if ! fresh "$cache/python-$env/stamp" "$requirements"; then
    rm -rf "$cache/python-$env"
    python3 -m venv "$cache/python-$env"
    deps=()
    [ "$env" = embed ] && deps=(--no-deps)
    retry "$cache/python-$env/bin/pip" install -q --disable-pip-version-check "${deps[@]}" -r "$requirements"
    stamp "$cache/python-$env/stamp" "$requirements"
  fi
done

# A store that speaks S3 and checks signatures.
gateway=github.com/versity/versitygw/cmd/versitygw@v1.8.0
if ! [ -x $cache/versitygw ] || [ "$(cat $cache/versitygw.stamp)" != $gateway ]; then
  GOBIN="$PWD/$cache" retry go install $gateway
  echo $gateway >$cache/versitygw.stamp
fi

# js is the client, page drives a browser over the dashboard.
for env in js page; do
  from=$here/page
  [ "$env" = js ] && from=$here/clients/js
  if ! fresh "$cache/$env/stamp" "$from/package-lock.json"; then
    rm -rf "${cache:?}/$env"
    mkdir -p "$cache/$env"
    cp "$from/package.json" "$from/package-lock.json" "$cache/$env"
    retry npm ci --prefix "$cache/$env" --legacy-peer-deps --ignore-scripts --no-audit --no-fund --silent
    stamp "$cache/$env/stamp" "$from/package-lock.json"
  fi
done
