package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSourcesForPeople checks what the commands print without --json.
func TestSourcesForPeople(t *testing.T) {
	var answer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.WriteString(w, `{"result":`+answer+`,"status":"ok","time":0}`); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	const info = `{"name":"s","collection":"c","origin":"file","state":"running","config":{"name":"s","topics":["a","b"],"batch":{"max":5}}}`
	for _, test := range []struct{ args, answer, want string }{
		{"list", `{"sources":[]}`, "there are no sources\n"},
		{"list", `{"sources":[` + info + `]}`, `
SOURCE  COLLECTION  STATE    FROM  TOPICS
s       c           running  file  a, b
`},
		{"get s", info, `
# s → c, running, from the configuration file
name: s
topics:
- a
- b
batch:
  max: 5
`},
		{"put s -", info, "s feeds c: running\n"},
		{"pause s", "true", "s is paused\n"},
		{"delete s", "true", "s is removed; points and positions stay\n"},
		{"wait s", "true", "s: all of it is visible\n"},
		{"offsets s", `{"offsets":[{"partition":{"kafka_topic":"a","kafka_partition":1},"offset":{"kafka_offset":5}},{"partition":{"kafka_topic":"a","kafka_partition":2},"offset":null}]}`, `
PARTITION  POSITION
a:1        5
a:2        where start says
`},
		{"status s", `{"name":"s","collection":"c","state":"retrying","error":"no \u001b[31mroute","error_since":"2026-01-02T03:04:04Z","batch":{"limit":100,"p99_ms":1.5,"why":"slow","over_budget":true},
			"catch_up":{"since":"2026-01-02T03:04:05Z","applied":1,"left":7,"records_per_second":5,"seconds_left":1.4},
			"stages":[{"stage":"total","p50_ms":1,"p99_ms":2.345}],"partitions":[{"topic":"a","partition":0,"state":"gap","error":"lost","position":3,"end":10,"lag":7}],"dead_letters":{"total":2,"kept":1}}`, `
s → c: retrying
error         no �[31mroute
failing since 2026-01-02 03:04:04
waiting       7 records
catching up   since 2026-01-02 03:04:05, 5 records/s, done in 1.4s
batch limit   100 records (it fell, as batches were slow; over budget)
dead letters  2, of which 1 are kept here

PARTITION  STATE     POSITION  END  WAITING
a:0        gap lost  3         10   7

MS       P50   P99
total    1.00  2.35
a batch        1.50
`},
		{"dlq s", `{"records":[]}`, "there are no dead letters\n"},
		{"dlq s", `{"records":[{"topic":"a","partition":0,"offset":7,"timestamp":"2026-01-02T03:04:05Z","reason":"no_id","detail":"none","key":null,"value":"a\u202eb\u001b]0;x"},
			{"topic":"a","partition":0,"offset":8,"timestamp":"2026-01-02T03:04:05Z","reason":"decode","detail":"none","key":"k","value":{"base64":"//4="}}]}`, `
a:0:7  2026-01-02T03:04:05Z  no_id
  why    none
  key    null
  value  a�b�]0;x
a:0:8  2026-01-02T03:04:05Z  decode
  why    none
  key    k
  value  {"base64":"//4="}
`},
		{"redrive s --dry-run", `{"dry_run":true,"matched":3,"applied":1,"stale":1,"failed":1,"errors":[{"topic":"a","partition":0,"offset":7,"reason":"no_id","detail":"none"}]}`, `
3 would be tried: 1 can be applied, 1 were overtaken by newer records, 1 would fail again
error    a:0:7  no_id: none
`},
		{"redrive s", `{"dry_run":false,"matched":3,"applied":3,"stale":0,"failed":0,"errors":[]}`, "3 were tried: 3 are applied, 0 were overtaken by newer records, 0 failed again\n"},
		{"validate -", `{"valid":false,"problems":[{"field":"id","text":"no record has value.x"}],"records":2,"formats":{"json":2},"keys":{"none":1,"text":1},
			"points":[{"topic":"a","partition":0,"offset":1,"operation":"upsert","ids":["p"],"vectors":{"":3,"b":2},"payload":{"n":1}}],"errors":[{"topic":"a","partition":0,"offset":2,"reason":"no_id","detail":"none"}]}`, `
not valid: 2 records were read (2 json; keys: 1 none, 1 text)
problem  id: no record has value.x
error    a:0:2  no_id: none

RECORD  DOES    ID  DIMENSIONS  PAYLOAD
a:0:1   upsert  p   3, b: 2     {"n":1}
`},
		{"validate -", `{"valid":false,"problems":[{"field":"topics","text":"none exists"}],"records":0}`, "not valid: no records were read\nproblem  topics: none exists\n"},
		{"replays", `{"replays":[]}`, "there are no replays\n"},
		{"replays n", `{"into":"n","collection":"c","state":"catching_up","waits_for":["max_lag: 5 records"],"lag":5,"lag_seconds":2,"points":1,"old_points":4,"gap":3,"overlap":0.5}`, `
n, from c: catching up
points   1, of 4 in c
waiting  5 records, 2s
gap      3 records had gone from the logs at the start
overlap  0.500
until    max_lag: 5 records
`},
		{"cancel-replay n", `{"dropped":true}`, "the replay is forgotten, and what it had built is dropped\n"},
	} {
		answer = test.answer
		got, err := runWith(t, "name: s", append([]string{"sources", "--url", server.URL, "--collection", "c"}, strings.Fields(test.args)...)...)
		if err != nil || got != strings.TrimPrefix(test.want, "\n") {
			t.Errorf("%s: %v\n%s, want\n%s", test.args, err, got, test.want)
		}
	}
}
