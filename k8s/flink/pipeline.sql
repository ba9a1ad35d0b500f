-- Texts become embeddings. ${NAME} stands for an environment variable of the job's pods.

CREATE TABLE documents (
  id STRING,
  content STRING,
  created TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'
) WITH (
  'connector' = 'kafka',
  'topic' = 'documents',
  'properties.bootstrap.servers' = '${BROKERS}',
  'properties.security.protocol' = '${SECURITY_PROTOCOL}',
  'properties.sasl.mechanism' = 'SCRAM-SHA-512',
  'properties.sasl.jaas.config' = '${JAAS_CONFIG}',
  'properties.ssl.truststore.type' = 'PEM',
  'properties.ssl.truststore.location' = '${TRUSTSTORE}',
  'properties.group.id' = 'vector-ingestion',
  'properties.auto.offset.reset' = 'earliest',
  'scan.startup.mode' = 'group-offsets',
  'format' = 'json'
);

CREATE MODEL text_embedder
INPUT (content STRING)
OUTPUT (embedding ARRAY<FLOAT>)
WITH (
  'provider' = 'openai',
  'endpoint' = '${ENDPOINT}',
  'api-key' = 'none',
  'model' = 'all-MiniLM-L6-v2'
);

-- The key keeps all versions of a point in one partition, and lets the topic be compacted.
CREATE TABLE vector_sink (
  id STRING,
  embedding ARRAY<FLOAT>,
  content STRING,
  created TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'
) WITH (
  'connector' = 'kafka',
  'topic' = 'vector-embeddings',
  'properties.bootstrap.servers' = '${BROKERS}',
  'properties.security.protocol' = '${SECURITY_PROTOCOL}',
  'properties.sasl.mechanism' = 'SCRAM-SHA-512',
  'properties.sasl.jaas.config' = '${JAAS_CONFIG}',
  'properties.ssl.truststore.type' = 'PEM',
  'properties.ssl.truststore.location' = '${TRUSTSTORE}',
  'properties.acks' = 'all',
  'properties.linger.ms' = '0',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'format' = 'json',
  'sink.delivery-guarantee' = 'at-least-once'
);

INSERT INTO vector_sink
SELECT id, embedding, content, created
FROM ML_PREDICT(TABLE documents, MODEL text_embedder, DESCRIPTOR(content));
