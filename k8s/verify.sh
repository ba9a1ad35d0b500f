#!/usr/bin/env bash
# Verifies a Freshet by a search: makes a collection, writes three points, asks for the
# nearest, and drops the collection.
#     verify.sh URL [FILE_WITH_API_KEY]
set -euo pipefail
url=$1/collections/verify-$$-$RANDOM
auth=()
[ $# -lt 2 ] || auth=(-H "@-") # not among the arguments, which everybody on the machine sees

call() { # METHOD PATH BODY
  { [ ${#auth[@]} = 0 ] || printf 'api-key: %s\n' "$(cat "$key")"; } |
    curl -sS --fail-with-body --max-time 30 -X "$1" "$url$2" "${auth[@]}" -H 'content-type: application/json' -d "$3"
}
key=${2:-}

# It may take a moment to be reached.
for _ in $(seq 60); do
  curl -fsS --max-time 5 "$1/readyz" >/dev/null 2>&1 && break
  sleep 1
done
call PUT '' '{"vectors": {"size": 4, "distance": "Cosine"}}' >/dev/null
trap 'call DELETE "" "" >/dev/null' EXIT
call PUT '/points?wait=true' '{"points": [
  {"id": 1, "vector": [1, 0, 0, 0]}, {"id": 2, "vector": [0, 1, 0, 0]}, {"id": 3, "vector": [0, 0, 1, 0]}]}' >/dev/null
answer=$(call POST /points/query '{"query": [0.1, 0.9, 0.1, 0], "limit": 1}')
case $answer in
  *'"points":[{"id":2,'*) echo "found: $answer" ;;
  *) echo "point 2 was not found: $answer" >&2 && exit 1 ;;
esac
