package api

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	collectionPath = "/collections/:collection"
	aliasesPath    = "/collections/aliases"
)

func (s *Server) routes() {
	e := s.echo
	e.GET("/", s.root)
	e.GET("/healthz", text(alive))
	e.GET("/livez", text(alive))
	e.GET("/readyz", s.ready)
	metrics := promhttp.HandlerFor(s.o.Registry, promhttp.HandlerOpts{})
	e.GET("/metrics", wrap(metrics))
	e.GET("/openapi.json", description)

	get := func(path string, h handler) { e.GET(path, s.handle(h)) }
	post := func(path string, h handler) { e.POST(path, s.handle(h)) }
	put := func(path string, h handler) { e.PUT(path, s.handle(h)) }
	del := func(path string, h handler) { e.DELETE(path, s.handle(h)) }

	get("/telemetry", telemetry)
	get("/issues", func(*request) (any, error) { return map[string]any{"issues": []any{}}, nil })
	del("/issues", func(*request) (any, error) { return true, nil })
	get("/cluster", func(*request) (any, error) { return map[string]any{"status": "disabled"}, nil })

	get("/embedding/models", listModels)

	get("/collections", listCollections)
	const c = collectionPath
	put(c, createCollection)
	get(c, getCollection)
	e.PATCH(c, s.handle(patchCollection))
	del(c, dropCollection)
	get(c+"/exists", collectionExists)
	get(c+"/cluster", collectionCluster)
	get(c+"/optimizations", optimizations)
	post(aliasesPath, changeAliases)
	get("/aliases", listAliases)
	get(c+"/aliases", collectionAliases)
	put(c+"/index", createIndex)
	del(c+"/index/:field", dropIndex)
	put(c+"/vectors/:vector", createVector)
	del(c+"/vectors/:vector", dropVector)

	put(c+"/points", upsertPoints)
	post(c+"/points/delete", write(plain(readDelete)))
	put(c+"/points/vectors", updateVectors)
	post(c+"/points/vectors/delete", write(plain(readDeleteVectors)))
	post(c+"/points/payload", write(plain(readSetPayload)))
	put(c+"/points/payload", write(plain(readOverwritePayload)))
	post(c+"/points/payload/delete", write(plain(readDeletePayload)))
	post(c+"/points/payload/clear", write(plain(readClearPayload)))
	post(c+"/points/batch", batchPoints)

	get(c+"/points/:id", getPoint)
	post(c+"/points", retrievePoints)
	post(c+"/points/scroll", scrollPoints)
	post(c+"/points/count", countPoints)
	post(c+"/points/query", queryPoints)
	post(c+"/points/query/batch", queryBatch)
	post(c+"/points/search", searchPoints)
	post(c+"/points/search/batch", searchBatch)
	post(c+"/points/recommend", recommendPoints)
	post(c+"/points/recommend/batch", recommendBatch)
	post(c+"/points/discover", discoverPoints)
	post(c+"/points/discover/batch", discoverBatch)
	post(c+"/points/query/groups", queryGroups)
	post(c+"/points/search/groups", searchGroups)
	post(c+"/points/recommend/groups", recommendGroups)
	post(c+"/points/search/matrix/pairs", matrixPairs)
	post(c+"/points/search/matrix/offsets", matrixOffsets)
	post(c+"/facet", facetPoints)

	for _, path := range []string{c + "/snapshots", "/snapshots"} {
		get(path, listSnapshots)
		post(path, createSnapshot)
		get(path+"/:snapshot", getSnapshot)
		del(path+"/:snapshot", deleteSnapshot)
	}
	put(c+"/snapshots/recover", recoverSnapshot)
	post(c+"/snapshots/upload", uploadSnapshot)

	s.sourceRoutes()
	s.pageRoutes()

	// What only a cluster has.
	get(c+"/shards", shards)
	put(c+"/shards", standalone(http.MethodGet))
	post(c+"/shards/delete", standalone())
	post(c+"/cluster", standalone(http.MethodGet))
	for _, path := range []string{"/cluster/*", "/quotas", c + "/shards/:shard/*"} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete} {
			e.Add(method, path, s.handle(standalone()))
		}
	}
}
