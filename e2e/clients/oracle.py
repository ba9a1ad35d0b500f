"""Random writes and reads of points on freshet and on qdrant-client's own engine in memory.

Both have to answer alike: the same ids in the same order up to ties, scores
within a tolerance, the same payloads. model.py runs it.
"""

import math
import random
import uuid
import warnings

from qdrant_client import models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

warnings.filterwarnings("ignore", "Local mode performs exact")
warnings.filterwarnings("ignore", "Payload indexes have no effect")

DIM = 4
POINTS = 80  # ids to choose from
WORDS = ["red", "green", "blue", "dark red", "light"]
KINDS = {"a": "dense", "b": "dense", "s": "sparse", "m": "multi"}  # of vectors by name
ADDED = "x"  # a vector that comes and goes
ORDERS = {"n": "integer", "f": "float", "t": "datetime", "list[].x": "integer"}  # indexes by field
DISTANCES = list(models.Distance)
# Of multivectors none by Manhattan: rows between two of the query tie, all of them.
OF_KIND = {"dense": DISTANCES, "multi": [d for d in DISTANCES if d != models.Distance.MANHATTAN]}


class Generator:
    """Random requests, all from one seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.ids = [n if n % 3 else str(uuid.UUID(int=n)) for n in range(POINTS)]
        self.kinds = dict(KINDS)

    def some(self, of, least=1, most=4):
        return self.random.sample(of, self.random.randint(least, min(most, len(of))))

    def maybe(self, make, chance=0.5):
        return make() if self.random.random() < chance else None

    # Points.

    def dense(self):
        # So many digits that no two Manhattan distances are the same: which of equal
        # ones MMR chooses from is open.
        return [round(self.random.gauss(0, 1), 6) for _ in range(DIM)]

    def sparse(self):
        indices = self.some(range(12), 1, 6)
        return models.SparseVector(indices=indices, values=[round(self.random.gauss(0.5, 1), 6) for _ in indices])

    def multi(self):
        return [self.dense() for _ in range(self.random.randint(1, 3))]

    def names(self):
        return list(self.kinds)

    def vector(self, name):
        return {"dense": self.dense, "sparse": self.sparse, "multi": self.multi}[self.kinds[name]]()

    def vectors(self):
        named = {name: self.vector(name) for name in self.kinds}
        if self.random.random() < 0.15:
            del named[self.random.choice(self.names())]
        return named

    def value(self):
        r = self.random
        return {
            "n": lambda: r.randint(-5, 20),
            "f": lambda: round(r.uniform(-3, 3), 2),
            "s": lambda: r.choice(WORDS),
            "b": lambda: r.random() < 0.5,
            "tags": lambda: self.some(WORDS, 0, 3),
            "t": self.moment,
            "g": lambda: self.place().model_dump(),
            "o": lambda: {"x": r.randint(0, 5), "y": {"z": r.choice(WORDS)}},
            "list": lambda: [{"x": r.randint(0, 5), "y": r.choice(WORDS)} for _ in range(r.randint(0, 3))],
        }

    def moment(self):
        r = self.random
        return f"2024-{r.randint(1, 12):02}-{r.randint(1, 28):02}T{r.randint(0, 23):02}:00:00Z"

    def place(self):
        return models.GeoPoint(lon=round(self.random.uniform(10, 20), 3), lat=round(self.random.uniform(45, 55), 3))

    def payload(self):
        payload = {key: make() for key, make in self.value().items() if self.random.random() < 0.75}
        if self.random.random() < 0.1:
            # Not of numbers: in formulas null is an error there, and here as good as absent.
            payload[self.random.choice(["s", "tags", "t"])] = None
        return payload

    def point(self):
        return models.PointStruct(id=self.random.choice(self.ids), vector=self.vectors(), payload=self.payload())

    def points(self, most):
        """As many at most, each of another id."""
        return list({p.id: p for p in (self.point() for _ in range(most))}.values())

    # Filters.

    def condition(self, depth):
        r = self.random
        field = lambda key, **test: models.FieldCondition(key=key, **test)
        bounds = lambda kind, make: kind(**{name: make() for name in self.some(["lt", "lte", "gt", "gte"], 1, 2)})
        kinds = [
            lambda: field(r.choice(["s", "tags", "o.y.z", "list[].y"]), match=models.MatchValue(value=r.choice(WORDS))),
            lambda: field(r.choice(["n", "o.x", "list[].x"]), match=models.MatchValue(value=r.randint(0, 5))),
            lambda: field("b", match=models.MatchValue(value=r.random() < 0.5)),
            lambda: field(r.choice(["s", "tags"]), match=models.MatchAny(any=self.some(WORDS))),
            lambda: field("n", match=models.MatchAny(any=self.some(range(10)))),
            lambda: field(r.choice(["s", "tags"]), match=models.MatchExcept(**{"except": self.some(WORDS)})),
            lambda: field(r.choice(["s", "tags"]), match=models.MatchText(text=r.choice(["red", "dark"]))),  # whole words: without an index parts count, too, but not in memory
            lambda: field(r.choice(["n", "f", "o.x", "list[].x", "list[0].x"]), range=bounds(models.Range, lambda: r.randint(-3, 10))),
            lambda: field("t", range=bounds(models.DatetimeRange, self.moment)),
            lambda: field("g", geo_radius=models.GeoRadius(center=self.place(), radius=r.uniform(10e3, 500e3))),
            lambda: field("g", geo_bounding_box=self.box()),
            lambda: field("g", geo_polygon=models.GeoPolygon(exterior=self.ring())),
            lambda: field(r.choice(["tags", "list", "s", "none"]), values_count=bounds(models.ValuesCount, lambda: r.randint(0, 3))),
            lambda: models.IsEmptyCondition(is_empty=models.PayloadField(key=r.choice(["n", "tags", "list", "none", "o.x"]))),
            lambda: models.IsNullCondition(is_null=models.PayloadField(key=r.choice(["n", "s", "tags", "none"]))),
            lambda: models.HasIdCondition(has_id=self.some(self.ids, 1, 20)),
            lambda: models.HasVectorCondition(has_vector=r.choice(self.names())),
            lambda: models.NestedCondition(nested=models.Nested(key="list", filter=models.Filter(must=[
                field("x", range=bounds(models.Range, lambda: r.randint(0, 5))),
                field("y", match=models.MatchValue(value=r.choice(WORDS))),
            ]))),
        ]
        if depth > 0:
            kinds += [lambda: self.filter(depth - 1)] * 4
        return r.choice(kinds)()

    def box(self):
        a, b = self.place(), self.place()
        return models.GeoBoundingBox(
            top_left=models.GeoPoint(lon=min(a.lon, b.lon), lat=max(a.lat, b.lat)),
            bottom_right=models.GeoPoint(lon=max(a.lon, b.lon), lat=min(a.lat, b.lat)),
        )

    def ring(self):
        center, radius = self.place(), self.random.uniform(0.5, 4)
        corners = [
            models.GeoPoint(lon=center.lon + radius * math.cos(i * math.pi / 3), lat=center.lat + radius * math.sin(i * math.pi / 3))
            for i in range(6)
        ]
        return models.GeoLineString(points=[*corners, corners[0]])

    def filter(self, depth=2):
        conditions = lambda: [self.condition(depth) for _ in range(self.random.randint(1, 3))]
        clauses = {name: conditions() for name in self.some(["must", "should", "must_not"], 1, 2)}
        if self.random.random() < 0.15:
            some = [self.condition(depth) for _ in range(3)]
            clauses["min_should"] = models.MinShould(conditions=some, min_count=self.random.randint(1, 3))
        return models.Filter(**clauses)

    def selection(self):
        return self.filter(1) if self.random.random() < 0.4 else self.some(self.ids)

    # Queries.

    def example(self, name, present):
        if present[name] and self.random.random() < 0.5:
            return self.random.choice(present[name])
        return self.vector(name)

    def pair(self, make):
        """Two different ones: of equal ones rounding decides which is nearer."""
        positive = negative = make()
        while negative == positive:
            negative = make()
        return models.ContextPair(positive=positive, negative=negative)

    def formula(self):
        r = self.random
        return models.FormulaQuery(
            formula=models.SumExpression(sum=[
                "$score",
                r.choice([
                    lambda: models.MultExpression(mult=[r.randint(1, 3), "n"]),
                    lambda: models.NegExpression(neg="f"),
                    lambda: models.MultExpression(mult=[0.5, self.condition(0)]),
                    lambda: models.DivExpression(div=models.DivParams(left="n", right="f", by_zero_default=1.0)),
                    lambda: models.ExpDecayExpression(exp_decay=models.DecayParamsExpression(x="n", target=5, scale=3, midpoint=0.4)),
                    lambda: models.GaussDecayExpression(gauss_decay=models.DecayParamsExpression(x="f", scale=2)),
                    lambda: models.LinDecayExpression(lin_decay=models.DecayParamsExpression(x="n", target=2, scale=9)),
                    lambda: models.AbsExpression(abs="n"),
                ])(),
            ]),
            defaults={"n": 1, "f": 0.5},
        )

    def query(self, present):
        r = self.random
        using = r.choice(self.names())
        pair = lambda: self.pair(lambda: self.example(using, present))
        kinds = [
            lambda: self.vector(using),
            lambda: models.NearestQuery(nearest=self.example(using, present)),
            lambda: models.NearestQuery(nearest=self.vector(using), mmr=models.Mmr(diversity=r.choice([0.2, 0.6, 0.8]), candidates_limit=20)),
            lambda: models.RecommendQuery(recommend=models.RecommendInput(
                positive=[self.example(using, present) for _ in range(r.randint(1, 3))],
                negative=[self.example(using, present) for _ in range(r.randint(0, 2))],
                strategy=r.choice(list(models.RecommendStrategy)))),
            lambda: models.DiscoverQuery(discover=models.DiscoverInput(
                target=self.example(using, present), context=[pair() for _ in range(r.randint(1, 3))])),
            lambda: models.ContextQuery(context=[pair() for _ in range(r.randint(1, 3))]),
        ]
        if self.kinds[using] == "dense":  # the engine in memory has it for no others
            kinds.append(lambda: models.RelevanceFeedbackQuery(relevance_feedback=models.RelevanceFeedbackInput(
                target=self.example(using, present),
                feedback=[models.FeedbackItem(example=self.example(using, present), score=r.choice([0, 0.5, 1, 3])) for _ in range(r.randint(0, 3))],
                strategy=models.NaiveFeedbackStrategy(naive=models.NaiveFeedbackStrategyParams(a=r.uniform(0.5, 1), b=r.uniform(0, 2), c=r.uniform(-0.2, 0.5))))))
        if self.kinds[using] == "sparse":
            # Only these: many points are at no similarity at all to an example,
            # and their ties decide.
            kinds = kinds[:3]
        return r.choice(kinds)(), using

    def prefetch(self):
        # Of vectors only: the points of ids are left out of all prefetches, by
        # the engine in memory only of their own. Ties would decide what the
        # outer query gets, so there is no context, and no sum, which for Manhattan is
        # the same for all points between two; and no MMR, whose order is not that of scores.
        nobody = dict.fromkeys(self.kinds, [])
        query, using = self.query(nobody)
        while isinstance(query, models.ContextQuery) or getattr(query, "mmr", None) or is_sum(query):
            query, using = self.query(nobody)
        return models.Prefetch(query=query, using=using, filter=self.maybe(self.filter, 0.3), limit=self.random.randint(3, 12), params=EXACT)


    def order(self):
        key = self.random.choice(list(ORDERS))
        start = self.moment if key == "t" else lambda: self.random.randint(-3, 10)
        return models.OrderBy(key=key, direction=self.maybe(lambda: self.random.choice(list(models.Direction))), start_from=self.maybe(start, 0.3))

    def lookup(self, using, looked_up):
        """A query by the vectors of points elsewhere, and the place."""
        r = self.random
        name = r.choice([n for n in looked_up if KINDS[n] == self.kinds[using]])
        one = lambda: r.choice(looked_up[name])
        query = r.choice([
            lambda: models.NearestQuery(nearest=one()),
            lambda: models.RecommendQuery(recommend=models.RecommendInput(positive=[one()], negative=[one()], strategy="best_score")),
            lambda: models.DiscoverQuery(discover=models.DiscoverInput(target=one(), context=[self.pair(one)])),
        ][:1 if self.kinds[using] == "sparse" else 3])()
        return query, models.LookupLocation(collection=LOOKUP, vector=name)

    def added(self):
        """A vector that is new to a collection: its kind and its configuration."""
        r = self.random
        kind = r.choice(["dense", "sparse", "multi"])
        if kind == "sparse":
            return kind, models.SparseVectorNameConfig(sparse=models.SparseVectorConfig(modifier=r.choice(list(models.Modifier))))
        return kind, models.DenseVectorNameConfig(dense=models.DenseVectorConfig(
            size=DIM, distance=r.choice(OF_KIND[kind]), multivector_config=MAX_SIM if kind == "multi" else None))


def is_sum(query):
    return isinstance(query, models.RelevanceFeedbackQuery) or (
        isinstance(query, models.RecommendQuery) and query.recommend.strategy == models.RecommendStrategy.SUM_SCORES)


EXACT = models.SearchParams(exact=True)
MAX_SIM = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
LOOKUP = "oracle-lookup"  # a collection that queries take vectors from


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-4)


def compare_scored(got, want):
    """The reason why two lists of scored points differ, None if they do not."""
    if len(got) != len(want) or not all(close(g.score, w.score) for g, w in zip(got, want)):
        return "scores"
    for i, (g, w) in enumerate(zip(got, want)):
        if g.id == w.id:
            if g.payload != w.payload:
                return f"the payload of {g.id}"
            continue
        tied = [p.id for p in want if close(p.score, g.score)]
        elsewhere = close(g.score, want[-1].score) or close(g.score, want[0].score)  # on another page, among others as good
        if g.id not in tied and not elsewhere:
            return f"the point at {i}"
    return None


def same_record(got, want):
    vectors = [p.vector if isinstance(p.vector, dict) else {"": p.vector or []} for p in (got, want)]
    return (got.id, got.payload, vectors[0].keys()) == (want.id, want.payload, vectors[1].keys()) and all(
        same_vector(vectors[0][name], vectors[1][name]) for name in vectors[0])


def same_vector(got, want):
    def same(x, y):
        return math.isclose(x, y, rel_tol=0, abs_tol=5e-5)

    if isinstance(got, models.SparseVector):
        got, want = (sorted(zip(v.indices, v.values)) for v in (got, want))
        return len(got) == len(want) and all(g[0] == w[0] and same(g[1], w[1]) for g, w in zip(got, want))
    if got and isinstance(got[0], list):
        return len(got) == len(want) and all(map(same_vector, got, want))
    return len(got) == len(want) and all(map(same, got, want))


def compare_groups(got, want):
    """The reason why two lists of groups differ, None if they do not."""
    if [group.id for group in got] != [group.id for group in want]:
        return "groups"
    for g, w in zip(got, want):
        reason = compare_scored(g.hits, w.hits)
        if reason:
            return f"{reason} of group {g.id}"
        if (g.lookup is None) != (w.lookup is None) or g.lookup and (g.lookup.id, g.lookup.payload) != (w.lookup.id, w.lookup.payload):
            return f"the lookup of group {g.id}"
    return None


def compare_pairs(got, want):
    same = len(got) == len(want) and all((g.a, g.b) == (w.a, w.b) and close(g.score, w.score) for g, w in zip(got, want))
    return None if same else "pairs"


def pairs_of(m):
    return [models.SearchMatrixPair(a=m.ids[row], b=m.ids[col], score=score) for row, col, score in zip(m.offsets_row, m.offsets_col, m.scores)]


def list_reads(g, present):
    """Reads of groups, facets and matrices."""
    r = g.random
    query, using = g.query(present)
    while isinstance(query, models.ContextQuery) or getattr(query, "mmr", None) or g.kinds[using] == "sparse":
        query, using = g.query(present)  # of others ties decide, or the number of points asked for
    near = models.Prefetch(query=g.dense(), using="a", limit=10 * POINTS, params=EXACT)
    ranked = {
        "group_by": r.choice(["n", "s", "tags", "o.x", "list[].y", "b", "none"]), "limit": r.randint(1, 8), "group_size": r.randint(1, 5),
        "query_filter": g.maybe(g.filter, 0.4), "with_payload": r.random() < 0.3, "search_params": EXACT,
        "with_lookup": g.maybe(lambda: models.WithLookup(collection="oracle", with_payload=True, with_vectors=False), 0.3),
    }
    matrix = {"query_filter": g.maybe(g.filter, 0.6), "limit": r.randint(1, 6), "sample": POINTS, "using": r.choice("ab")}
    return [
        lambda: ("query_points_groups", {"query": query, "using": using, **ranked}),
        lambda: ("query_points_groups", {"query": g.vector("b"), "using": "b", "prefetch": near, **ranked, "query_filter": None}),
        lambda: ("facet", {"key": r.choice(list(FACETS)), "facet_filter": g.maybe(g.filter, 0.6), "limit": r.randint(1, 10), "exact": True}),
        lambda: (r.choice(["search_matrix_pairs", "search_matrix_offsets"]), matrix),
    ]


# Members with an index, which facets need.
FACETS = {"n": "integer", "s": "keyword", "tags": "keyword", "b": "bool", "o.x": "integer", "list[].y": "keyword"}


def compare_ordered(got, want):
    """The reason why two lists in the order of their order_value differ. Those with the
    same value come in any order; at the ends of a page others of them may be seen."""
    if [p.order_value for p in got] != [p.order_value for p in want]:
        return "order values"
    ends = {p.order_value for p in (*want[:1], *want[-1:])}
    within = lambda page: sorted((p.order_value, str(p.id)) for p in page if p.order_value not in ends)
    if within(got) != within(want) or len({(p.order_value, p.id) for p in got}) < len(got):
        return "points in order"
    payloads = {p.id: p.payload for p in want}
    if any(p.id in payloads and p.payload != payloads[p.id] for p in got):
        return "payloads in order"
    return None


def compare(got, want):
    if got == want or isinstance(got, models.UpdateResult):  # numbers of operations are anybody's
        return None
    if isinstance(got, list) and len(got) == len(want):  # the answers of a batch
        return next(filter(None, map(compare, got, want)), None)
    if hasattr(got, "points"):
        if want.points and want.points[0].order_value is not None:
            return compare_ordered(got.points, want.points)
        return compare_scored(got.points, want.points)
    if hasattr(got, "groups"):
        return compare_groups(got.groups, want.groups)
    if hasattr(got, "pairs"):
        return compare_pairs(got.pairs, want.pairs)
    if hasattr(got, "offsets_row"):
        return compare_pairs(pairs_of(got), pairs_of(want))
    if isinstance(got, tuple):  # a page of a scroll
        if want[0] and want[0][0].order_value is not None:
            return compare_ordered(got[0], want[0]) if got[1] == want[1] else "next page"
        same = len(got[0]) == len(want[0]) and all(map(same_record, got[0], want[0])) and got[1] == want[1]
        return None if same else "records"
    return "values"


class Case:
    """One collection on both sides."""

    def __init__(self, g, remote, local):
        self.g, self.remote, self.local = g, remote, local
        g.kinds = dict(KINDS)
        self.distances = {name: g.random.choice(OF_KIND[g.kinds[name]]) for name in "abm"}
        for name in LOOKUP, "oracle":
            self.create(name)
        for field, schema in {**FACETS, **ORDERS}.items():
            self.both("create_payload_index", field_name=field, field_schema=schema)
        self.looked_up = {name: self.having(name, LOOKUP) for name in KINDS}

    def create(self, collection):
        g = self.g
        self.both("delete_collection", collection)
        self.both("create_collection", collection, vectors_config={
            name: models.VectorParams(size=DIM, distance=d, multivector_config=MAX_SIM if g.kinds[name] == "multi" else None)
            for name, d in self.distances.items()},
            sparse_vectors_config={"s": models.SparseVectorParams(modifier=g.random.choice(list(models.Modifier)))})
        self.both("upsert", collection, points=g.points(POINTS))

    def both(self, method, collection="oracle", **options):
        return [getattr(c, method)(collection_name=collection, **options) for c in (self.remote, self.local)]

    def having(self, name, collection="oracle"):
        """The ids of the points that have a vector."""
        return [p.id for p in self.local.scroll(collection, limit=POINTS, scroll_filter=models.Filter(
            must=[models.HasVectorCondition(has_vector=name)]))[0]]

    def write(self):
        g, r = self.g, self.g.random
        present = [p.id for p in self.local.scroll("oracle", limit=POINTS)[0]]
        if len(present) < POINTS // 3:
            return "upsert", {"points": [g.point() for _ in range(20)]}
        name = r.choice(g.names())
        some = lambda: g.filter(1) if r.random() < 0.4 else g.some(present)
        return r.choice([
            lambda: ("upsert", {"points": g.points(5)}),
            lambda: ("upsert", {"points": g.points(5), "update_mode": r.choice(list(models.UpdateMode)), "update_filter": g.maybe(lambda: g.filter(1))}),
            lambda: ("batch_update_points", {"update_operations": [self.operation() for _ in range(r.randint(1, 4))]}),
            lambda: ("delete", {"points_selector": g.selection() if r.random() < 0.3 else g.some(g.ids)}),
            lambda: ("set_payload", {"payload": g.payload(), "points": some()}),
            lambda: ("set_payload", {"payload": {"x": r.randint(0, 5)}, "key": "o", "points": some()}),
            lambda: ("overwrite_payload", {"payload": g.payload(), "points": some()}),
            lambda: ("delete_payload", {"keys": g.some(["n", "s", "tags", "o.x", "list[].x"], 1, 2), "points": some()}),
            lambda: ("clear_payload", {"points_selector": g.some(present, 1, 2)}),
            lambda: ("update_vectors", {"points": [models.PointVectors(id=id, vector={name: g.vector(name)}) for id in g.some(present)]}),
            lambda: ("delete_vectors", {"vectors": [name], "points": g.some(present, 1, 2)}),
            self.change_names,
        ])()

    def operation(self):
        """A write, as a batch has it. No payload of points by id: the ones before may have deleted them."""
        g = self.g
        return g.random.choice([
            lambda: models.UpsertOperation(upsert=models.PointsList(points=g.points(3))),
            lambda: models.DeleteOperation(delete=models.PointIdsList(points=g.some(g.ids))),
            lambda: models.SetPayloadOperation(set_payload=models.SetPayload(payload=g.payload(), filter=g.filter(1))),
            lambda: models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload=g.payload(), filter=g.filter(1))),
            lambda: models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=g.some(["n", "s", "o.x"], 1, 2), filter=g.filter(1))),
            lambda: models.ClearPayloadOperation(clear_payload=models.FilterSelector(filter=g.filter(1))),
        ])()

    def change_names(self):
        """Adds the vector that comes and goes, or takes it away."""
        g = self.g
        if g.kinds.pop(ADDED, None):
            return "delete_vector_name", {"vector_name": ADDED}
        g.kinds[ADDED], config = g.added()
        return "create_vector_name", {"vector_name": ADDED, "vector_name_config": config}

    def read(self):
        g, r = self.g, self.g.random
        present = {name: self.having(name) for name in g.kinds}
        query, using = g.query(present)
        ranked = {"limit": r.randint(1, 12), "query_filter": g.maybe(g.filter, 0.4), "with_payload": r.random() < 0.2}
        # Qdrant joins the lists of an outer filter's clauses to those of a prefetch's,
        # so that `should` of both becomes one; as the only `must` all mean the same.
        outer = {**ranked, "query_filter": g.maybe(lambda: models.Filter(must=[g.filter()]), 0.4)}
        return r.choice([
            lambda: ("count", {"count_filter": g.filter()}),
            lambda: ("scroll", {
                "scroll_filter": g.maybe(g.filter, 0.8), "limit": r.randint(1, 20), "offset": g.maybe(lambda: r.choice(g.ids), 0.2),
                "with_payload": r.choice([True, False, ["n", "o.x"], models.PayloadSelectorExclude(exclude=["list", "tags"])]),
                "with_vectors": r.choice([True, False, ["a", "s"]])}),
            *[lambda: ("query_points", {"query": query, "using": using, "search_params": EXACT, "offset": g.maybe(lambda: r.randint(0, 5), 0.2), **ranked})] * 4,
            lambda: ("query_points", {"query": models.FusionQuery(fusion=r.choice(list(models.Fusion))), "prefetch": [g.prefetch() for _ in range(2)], **outer}),
            lambda: ("query_points", {"query": models.RrfQuery(rrf=models.Rrf(k=r.randint(1, 60))), "prefetch": [g.prefetch() for _ in range(2)], **outer}),
            lambda: ("query_points", {"query": g.formula(), "prefetch": g.prefetch(), **outer}),
            lambda: ("query_points", {"query": g.vector(using), "using": using, "prefetch": g.prefetch(), **outer}),
            *list_reads(g, present),
            lambda: ("scroll", {"scroll_filter": g.maybe(g.filter), "limit": r.randint(1, 40), "order_by": g.order()}),
            lambda: ("query_points", {
                "query": models.OrderByQuery(order_by=g.order()), "query_filter": g.maybe(g.filter), "limit": r.randint(1, 40),
                "offset": g.maybe(lambda: r.randint(0, 5), 0.2), "with_payload": r.random() < 0.5}),
            lambda: self.look_up(using, ranked),
            lambda: ("query_batch_points", {"requests": [self.request() for _ in range(r.randint(1, 4))]}),
        ])()

    def look_up(self, using, ranked):
        query, place = self.g.lookup(using, self.looked_up)
        options = {"query": query, "using": using, "lookup_from": place}
        if self.g.random.random() < 0.5:
            return "query_points", {**options, **ranked, "search_params": EXACT}
        inner = models.Prefetch(**options, filter=ranked["query_filter"], limit=ranked["limit"], params=EXACT)
        return "query_points", {"query": models.FusionQuery(fusion="rrf"), "prefetch": [inner]}

    def request(self):
        """A query, as a batch has it."""
        method, options = self.read()
        while method != "query_points":
            method, options = self.read()
        names = {"query_filter": "filter", "search_params": "params", "with_vectors": "with_vector"}
        return models.QueryRequest(**{names.get(name, name): value for name, value in options.items()})

    def step(self):
        """Runs one request on both sides; returns it and why they differ."""
        writes = self.g.random.random() < 0.2
        method, options = self.write() if writes else self.read()
        answers = [attempt(c, method, collection_name=self.name(), **options) for c in (self.remote, self.local)]
        reason = differing(answers, compare)
        if writes and not reason:
            answers = self.both("scroll", limit=POINTS, with_vectors=True)
            reason = compare(*answers)
        return method, options, reason, answers

    def name(self):
        return "oracle"


def attempt(client, method, **options):
    """The answer, or the error in its place."""
    try:
        return getattr(client, method)(**options)
    except Exception as e:
        return e


def differing(answers, compare):
    """The reason why two answers differ: what one refuses the other has to refuse, too."""
    remote, local = answers
    if isinstance(remote, ResponseHandlingException) or isinstance(remote, UnexpectedResponse) and remote.status_code >= 500:
        return "one fails"
    if isinstance(remote, Exception) or isinstance(local, Exception):
        return None if isinstance(remote, Exception) and isinstance(local, Exception) else "one refuses"
    return compare(remote, local)


def brief(answer, other):
    """What is in an answer and not in the other."""
    if isinstance(answer, list) and isinstance(other, list):
        return [(i, brief(a, b)) for i, (a, b) in enumerate(zip(answer, other)) if compare(a, b)]
    if hasattr(answer, "points"):
        return [(p.id, round(p.score, 5)) for p in answer.points]
    if isinstance(answer, tuple) and answer[0] and answer[0][0].order_value is not None:
        return [(p.id, p.order_value) for p in answer[0]]
    if isinstance(answer, tuple) and isinstance(other, tuple):
        return [(p.id, p.payload, p.vector) for p in answer[0] if not any(same_record(p, q) for q in other[0])], answer[1]
    return f"{answer!r} {answer}" if isinstance(answer, Exception) else repr(answer)
