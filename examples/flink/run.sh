#!/usr/bin/env bash
# The article's pipeline, with its real parts: kafka-python, Apache Kafka, Flink SQL with a
# model, Freshet.   run.sh [RECORDS [RATE]]
set -euo pipefail
cd "$(dirname "$0")/../.."
records=${1:-160} rate=${2:-8}
e2e/setup.sh
cache=.cache
dir=$(mktemp -d)

# What has been started ends with this script, however it ends.
pids=()
finish() {
  status=$?
  trap - EXIT
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  wait 2>/dev/null
  if [ $status -ne 0 ]; then
    for log in "$dir"/*.log; do echo "== $log" && tail -n 20 "$log"; done >&2
  fi
  rm -rf "$dir"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

start() { # LOG COMMAND…
  log=$1
  shift
  "$@" </dev/null >"$dir/$log.log" 2>&1 &
  pids+=($!)
}

read -r port controller model http < <(python3 - <<'PYTHON'
import socket

sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*(s.getsockname()[1] for s in sockets))
PYTHON
)
python=$cache/python-article/bin/python
export BROKERS=127.0.0.1:$port ENDPOINT=http://127.0.0.1:$model/v1/embeddings

go build -o "$dir/freshet" ./cmd/freshet
start endpoint $cache/python-embed/bin/python e2e/embed/server.py --port "$model" --log "$dir/endpoint.jsonl"
start freshet "$dir/freshet" serve --config examples/flink/freshet.yaml --brokers "$BROKERS" --data "$dir/data" --listen "127.0.0.1:$http"
start kafka e2e/kafka.sh "$dir/kafka" "$port" "$controller"
$python examples/flink/pipeline.py create "$BROKERS"

opens=()
for package in lang lang.reflect io net nio text time util util.concurrent util.concurrent.atomic util.concurrent.locks; do
  opens+=(--add-opens "java.base/java.$package=ALL-UNNAMED")
done
start flink java -Xmx768m "${opens[@]}" -cp "$cache/flink/libs/*" examples/flink/RunSQL.java examples/flink/pipeline.sql
$python examples/flink/pipeline.py measure "$BROKERS" "http://127.0.0.1:$http" "$ENDPOINT" "$dir/endpoint.jsonl" "$records" "$rate" README.md docs/*.md
