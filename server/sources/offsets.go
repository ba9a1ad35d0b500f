package sources

// Offset is the position in one partition, in the form that Kafka Connect has: the
// first offset that is not applied. Without Offset it is where the source's start
// says.
type Offset struct {
	Partition TopicPartition `json:"partition"`
	Offset    *KafkaOffset   `json:"offset"`
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string `json:"kafka_topic"`
	Partition int32  `json:"kafka_partition"`
}

// KafkaOffset is an offset in a log.
type KafkaOffset struct {
	Offset int64 `json:"kafka_offset"`
}

// Move says where a source is to go on: either in the partitions named, or in all of
// them, at the first record with a timestamp.
type Move struct {
	Offsets   []Offset `json:"offsets"`
	Timestamp *int64   `json:"timestamp"` // Unix milliseconds
}

// Skip names the record that a source is to leave out: the next one of its partition.
type Skip struct {
	Topic     string `json:"topic"` // may be left out if the source has only one
	Partition *int32 `json:"partition"`
	Offset    *int64 `json:"offset"`
}
