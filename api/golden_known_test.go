package api_test

// byDesign are the differences that stay.
var byDesign = []rule{
	{path: "title", why: "says who we are"},
	{path: "commit", why: "a release of Qdrant tells it, too", requests: []int{0}},
	{path: "freshet_version", why: "version is that of the API, for clients that check it"},
	{path: "result.app.name", why: "says who we are"},
	{path: "result.id", why: "is another one for each process", requests: []int{9}},
	{path: "result.requests.rest.responses", why: "paths have other names for their parameters, and what is free is not counted"},
	{path: "result.quota", why: "there are no quotas"},
	{path: "", why: "there are other metrics, too", requests: []int{10}},
	{path: "result.config.hnsw_config.ef_construct", why: "128 by default"},
	{path: "result.status", why: "there is no optimizer, so nothing to wait for", requests: []int{674}},
	{path: "status.error", why: "names the forms of ids, of which there is one more: any string", requests: []int{35, 36}},
	{path: "status", why: "any string is an id", requests: []int{45, 56, 90}},
	{path: "result.points[].id", why: "all points are as near, and which of them are left out is free", requests: []int{176, 236}},
	{path: "result.points[].id", why: "points with the same score are in the order of their ids", requests: []int{221, 282, 598}},
	{path: "result.groups[].hits[].payload.i", why: "is that of the point", requests: []int{563}},
	{path: "result.groups[].hits[].id", why: "two points are as near, and which of them is left out of a group is free", requests: []int{563, 564}},
	{path: "result.groups[]", why: "the best of two groups are as near, and which of the groups is left out is free", requests: []int{569}},
	{path: "result.groups[]", why: "without a query points count in the order of their ids, in Qdrant in none", requests: []int{570}},
	{path: "result.points", why: "is_null means the same in both forms, with an index or without, as from Qdrant 1.20 on", requests: []int{353, 354}},
	{path: "result.name", why: "tells the time", requests: []int{695, 699}},
	{path: "result.size", why: "is of another file format", requests: []int{695, 699}},
	{path: "result[].name", why: "tells the time", requests: []int{696, 700}},
	{path: "result[].size", why: "is of another file format", requests: []int{696, 700}},
}

// undos are sent after a request that left something behind that Qdrant refused.
var undos = map[int]struct{ method, path, body string }{
	45: {"POST", "/collections/g_basic/points/delete", `{"points":["my-string"]}`},
}

// notServed are the requests that are not answered yet, by what they need. Who serves
// them takes them out.
var notServed = map[string][]int{}
