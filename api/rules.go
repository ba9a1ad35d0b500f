package api

import (
	"net/http"
	"strings"
)

// rule is what a route asks of those who use it.
type rule uint8

const (
	// manage asks for the right to everything. A route without a rule has this one.
	manage rule = iota
	// free asks for nothing. These routes tell nothing of the data.
	free
	// listing asks for any key; the answer has what that may read.
	listing
	// readAll asks for the right to read everything.
	readAll
	// read asks for the right to read the points of the collection, readWhole to have a
	// copy of it.
	read
	readWhole
	// writePoints asks for the right to change the collection's points, writeWhole also
	// its indexes and snapshots.
	writePoints
	writeWhole
)

// rules are those of all routes for which manage is too much.
var rules = func() map[string]rule {
	table := map[string]rule{}
	add := func(r rule, method string, paths ...string) {
		for _, path := range paths {
			table[method+" "+strings.Replace(path, "{c}", collectionPath, 1)] = r
		}
	}
	add(free, http.MethodGet, "/", "/healthz", "/livez", "/readyz", "/openapi.json")
	for path := range pageFiles {
		add(free, http.MethodGet, path)
	}
	add(listing, http.MethodGet, "/collections", "/aliases", "/sources", "/embedding/models", "/telemetry", "/issues")
	add(readAll, http.MethodGet, "/metrics", "/cluster", "/cluster/*", "/quotas", "/snapshots", "/snapshots/:snapshot",
		"{c}/sources/:source/dlq") // of a source that feeds many collections
	add(read, http.MethodGet, "{c}", "{c}/exists", "{c}/cluster", "{c}/optimizations", "{c}/aliases", "{c}/shards", "{c}/shards/:shard/*",
		"{c}/points/:id", "{c}/sources", "{c}/sources/:source", "{c}/sources/:source/status", "{c}/sources/:source/offsets",
		"{c}/replay", "{c}/replay/:into")
	add(read, http.MethodPost, "{c}/points", "{c}/points/scroll", "{c}/points/count", "{c}/points/query", "{c}/points/query/batch",
		"{c}/points/query/groups", "{c}/points/search", "{c}/points/search/batch", "{c}/points/search/groups",
		"{c}/points/search/matrix/pairs", "{c}/points/search/matrix/offsets", "{c}/points/recommend", "{c}/points/recommend/batch",
		"{c}/points/recommend/groups", "{c}/points/discover", "{c}/points/discover/batch", "{c}/facet", "{c}/sources/:source/wait")
	add(readWhole, http.MethodGet, "{c}/snapshots", "{c}/snapshots/:snapshot")
	add(writePoints, http.MethodPut, "{c}/points", "{c}/points/vectors", "{c}/points/payload")
	add(writePoints, http.MethodPost, "{c}/points/delete", "{c}/points/vectors/delete", "{c}/points/payload", "{c}/points/payload/delete",
		"{c}/points/payload/clear", "{c}/points/batch")
	add(writeWhole, http.MethodPut, "{c}/index", "{c}/vectors/:vector")
	add(writeWhole, http.MethodPost, "{c}/snapshots")
	add(writeWhole, http.MethodDelete, "{c}/index/:field", "{c}/vectors/:vector", "{c}/snapshots/:snapshot")
	return table
}()

// ruleOf returns the rule of a route as it was matched, not of the path that a client
// has written.
func ruleOf(method, route string) rule { return rules[method+" "+route] }
