// Package e2e tests the freshet binary against what its users run beside it:
// Apache Kafka, one broker or three, Apache Flink, kafka-python producers, the
// clients of Qdrant. The tests have the build tag e2e and need what setup.sh
// installs; `make test` does both.
package e2e
