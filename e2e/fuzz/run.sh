#!/usr/bin/env bash
# Sends requests made up from the API's document to a server that runs, and
# compares the answers with the document; an answer of 500 or above is an error.
#
#     run.sh URL [REQUESTS FOR EACH OPERATION] [SEED]
set -euo pipefail
cd "$(dirname "$0")"
url=$1 examples=${2:-200} seed=${3:-$RANDOM}
echo "seed $seed"
export PYTHONPATH=. SCHEMATHESIS_HOOKS=hooks
exec ../../.cache/python-clients/bin/schemathesis --no-color run "$url/openapi.json" \
  --phases fuzzing --max-examples "$examples" --seed "$seed" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance \
  --suppress-health-check all --warnings off --generation-database none
