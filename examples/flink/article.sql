-- As the article has it. Flink 2.3 refuses this; README.md tells why, pipeline.sql is what
-- it accepts.

CREATE MODEL text_embedder
INPUT (content STRING)
OUTPUT (embedding ARRAY<FLOAT>)
WITH ('TASK' = 'embedding', 'PROVIDER' = 'openai');

CREATE TABLE vector_sink (
  id STRING,
  embedding ARRAY<FLOAT>
) WITH (
  'connector' = 'kafka',
  'topic' = 'vector-embeddings',
  'format' = 'json'
);

INSERT INTO vector_sink
SELECT id, AI_EMBEDDING('text_embedder', content)
FROM documents;
