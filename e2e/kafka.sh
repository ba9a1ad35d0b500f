#!/usr/bin/env bash
# Runs an Apache Kafka broker that setup.sh installed, one node on loopback,
# until it is killed:  kafka.sh FOLDER PORT CONTROLLER_PORT
set -euo pipefail
folder=$1 port=$2 controller=$3
classes="$(cd "$(dirname "$0")/.." && pwd)/.cache/kafka/libs/*"
mkdir -p "$folder"
# Retention looks at the records' own timestamps: without a limit, old ones stay.
cat >"$folder/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
log.dirs=$folder/logs
log.retention.ms=-1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
PROPERTIES
java -cp "$classes" kafka.tools.StorageTool format --ignore-formatted -t AAAAAAAAAAAAAAAAAAAAAQ -c "$folder/server.properties"
exec java -Xmx512m -cp "$classes" kafka.Kafka "$folder/server.properties"
