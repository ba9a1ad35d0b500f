-- The article's pipeline as Flink 2.3 accepts it. run.sh puts addresses in the
-- place of ${BROKERS} and ${ENDPOINT}.

CREATE TABLE documents (
  id STRING,
  content STRING,
  created TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'
) WITH (
  'connector' = 'kafka',
  'topic' = 'documents',
  'properties.bootstrap.servers' = '${BROKERS}',
  'scan.startup.mode' = 'earliest-offset',
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

CREATE TABLE vector_sink (
  id STRING,
  embedding ARRAY<FLOAT>,
  content STRING,
  created TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'
) WITH (
  'connector' = 'kafka',
  'topic' = 'vector-embeddings',
  'properties.bootstrap.servers' = '${BROKERS}',
  'format' = 'json',
  'sink.delivery-guarantee' = 'at-least-once',
  'properties.linger.ms' = '0'
);

INSERT INTO vector_sink
SELECT id, embedding, content, created
FROM ML_PREDICT(TABLE documents, MODEL text_embedder, DESCRIPTOR(content));
