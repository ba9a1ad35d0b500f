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
	{path: "result.points", why: "is_null means the same in both forms, with an index or without, as from Qdrant 1.20 on", requests: []int{353, 354}},
}

// undos are sent after a request that left something behind that Qdrant refused.
var undos = map[int]struct{ method, path, body string }{
	45: {"POST", "/collections/g_basic/points/delete", `{"points":["my-string"]}`},
}

// notServed are the requests that are not answered yet, by what they need. Who serves
// them takes them out.
var notServed = map[string][]int{
	"recommend":           {177, 178, 179, 180, 181, 182, 185, 186, 207, 208, 209, 210, 211, 212, 215, 216, 237, 238, 239, 240, 241, 242, 245, 246, 267, 268, 269, 270, 271, 272, 275, 276},
	"discover":            {183, 187, 213, 217, 243, 247, 273, 277},
	"context":             {184, 214, 244, 274},
	"MMR":                 {188, 218, 248, 278},
	"prefetch and fusion": {92, 93, 191, 192, 193, 194, 195, 221, 222, 223, 224, 225, 251, 252, 253, 254, 255, 281, 282, 283, 284, 285, 598, 599, 600, 601},
	"formula":             {196, 226, 256, 286, 572, 573, 574, 575, 576, 577, 578, 579, 580, 581, 582, 583, 584, 585, 586, 587, 588, 589, 590, 591, 592, 593, 594, 595, 596},
	"order_by":            {547, 548, 549, 550, 551, 552, 553, 554, 555, 602, 603},
	"facets":              {435, 436, 556, 557, 558, 559, 560, 561, 562},
	"search matrix":       {189, 190, 219, 220, 249, 250, 279, 280},
	"groups":              {563, 564, 565, 566, 567, 568, 569, 570, 571},
	"sparse vectors, multivectors and other types of numbers": {612, 613, 614, 615, 616, 617, 618, 619, 620, 621, 622, 623, 624, 625, 626, 627, 628, 629, 630, 631, 632, 633, 634, 635, 636, 637, 638, 639, 640, 641, 642, 643, 644, 645, 646, 647, 648, 649, 650, 651, 652, 653, 654, 655, 656, 657, 658, 659, 660, 661, 662, 712},
	"snapshots": {8, 695, 696, 697, 698, 699, 700},
	"sample":    {597},
}
