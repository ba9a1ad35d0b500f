"""Random requests on freshet, which is restarted in between, and on qdrant-client's engine in memory.

    model.py URL ROUNDS SEED

Requests about points are those of oracle.py. Among them collections, aliases, indexes and
snapshots come and go and settings change. All of it has been acknowledged before a
restart, so nothing may differ after it. Stops at the first difference.

The server belongs to whoever runs this: a line on the output asks for its end ("end"), or
for a kill ("kill", or "kill MS" for another one so long after the next start); a line on
the input says that it is ready again.
"""

import copy
import random
import sys

from qdrant_client import QdrantClient, models

from oracle import DIM, FACETS, ORDERS, POINTS, Case, Generator, attempt, brief, compare, differing

CASES = 60  # requests between two restarts, on average
OTHERS = ["c", "d", "e"]  # collections that come and go
ALIASES = ["p", "q", OTHERS[0]]  # the last may be taken
INDEXES = {"g": "geo", "o.y.z": "keyword", "u": "uuid"}  # by field, come and go
SHOWN = {"config", "payload_schema", "points_count"}  # of a collection, the same after a restart


class World(Case):
    """All that a server holds."""

    def __init__(self, g, remote, local):
        super().__init__(g, remote, local)
        self.indexes = {**FACETS, **ORDERS}
        for whole, name in self.listed():
            self.delete(whole, name)
        self.snapshots = {}  # by whether it is of everything, and name: what the collection was

    def name(self):
        """One of the names of the collection."""
        return self.g.random.choice(["oracle", *(a for a, name in self.local._client.aliases.items() if name == "oracle")])

    def listed(self):
        lists = self.remote.list_snapshots("oracle"), self.remote.list_full_snapshots()
        return sorted((bool(whole), s.name) for whole, snapshots in enumerate(lists) for s in snapshots)

    def delete(self, whole, name):
        if whole:
            return attempt(self.remote, "delete_full_snapshot", snapshot_name=name)
        return attempt(self.remote, "delete_snapshot", collection_name="oracle", snapshot_name=name)

    def manage(self):
        """Does something that is not about points; returns it and why the sides differ."""
        method, options, answers = self.g.random.choice([self.index, self.alias, self.collection, self.configure, self.snapshot])()
        same = lambda got, want: "answers" if method == "delete_collection" and got != want else None
        return method, options, differing(answers, same) or self.differs(), answers

    def on_both(self, method, **options):
        return method, options, [attempt(c, method, **options) for c in (self.remote, self.local)]

    def index(self):
        field = self.g.random.choice(list(INDEXES))
        if self.indexes.pop(field, None):
            return self.on_both("delete_payload_index", collection_name=self.name(), field_name=field)
        self.indexes[field] = INDEXES[field]
        return self.on_both("create_payload_index", collection_name=self.name(), field_name=field, field_schema=INDEXES[field])

    def alias(self):
        r = self.g.random
        one = lambda: r.choice(ALIASES)
        change = lambda: r.choice([
            lambda: models.CreateAliasOperation(create_alias=models.CreateAlias(alias_name=one(), collection_name=r.choice(["oracle", "oracle", *OTHERS]))),
            lambda: models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=one())),
            lambda: models.RenameAliasOperation(rename_alias=models.RenameAlias(old_alias_name=one(), new_alias_name=one())),
        ])()
        return self.on_both("update_collection_aliases", change_aliases_operations=[change() for _ in range(r.randint(1, 3))])

    def collection(self):
        g = self.g
        name = g.random.choice(OTHERS)
        if g.random.random() < 0.5:
            return self.on_both("delete_collection", collection_name=name)
        params = models.VectorParams(size=DIM, distance=g.random.choice(list(models.Distance)))
        done = self.on_both("create_collection", collection_name=name, vectors_config=params, metadata={"of": g.random.random()})
        if not isinstance(done[2][1], Exception):
            self.both("upsert", name, points=[models.PointStruct(id=id, vector=g.dense(), payload=g.payload()) for id in g.some(g.ids, 1, 20)])
        return done

    def configure(self):
        r = self.g.random
        return self.on_both("update_collection", collection_name=self.name(), **r.choice([
            lambda: {"metadata": {r.choice("xyz"): r.choice([r.random(), {"in": r.random()}])}},
            lambda: {"sparse_vectors_config": {"s": models.SparseVectorParams(modifier=r.choice(list(models.Modifier)))}},
            lambda: {"hnsw_config": models.HnswConfigDiff(ef_construct=r.randint(50, 300), m=r.choice([8, 16, 24]))},
            lambda: {"strict_mode_config": models.StrictModeConfig(enabled=r.random() < 0.5, max_query_limit=r.randint(1000, 2000))},
            lambda: {"optimizers_config": models.OptimizersConfigDiff(indexing_threshold=r.randint(1, 20_000))},
            lambda: {"quantization_config": models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type="int8"))},
        ])())

    def snapshot(self):
        """Makes one, recovers one or deletes one. The engine in memory has none: it is copied."""
        r, collections = self.g.random, self.local._client.collections
        if not self.snapshots or r.random() < 0.4 and len(self.snapshots) < 4:
            whole = r.random() < 0.3
            made = attempt(self.remote, "create_full_snapshot") if whole else attempt(self.remote, "create_snapshot", collection_name="oracle")
            if not isinstance(made, Exception):
                self.snapshots[whole, made.name] = copy.deepcopy((collections["oracle"], self.g.kinds, self.indexes))
            return "create_snapshot", {"whole": whole}, [made, None]
        whole, name = r.choice(list(self.snapshots))
        if r.random() < 0.4:
            del self.snapshots[whole, name]
            return "delete_snapshot", {"whole": whole}, [self.delete(whole, name), True]
        collections["oracle"], self.g.kinds, self.indexes = copy.deepcopy(self.snapshots[whole, name])
        place = self.remote._client.rest_uri + ("/snapshots/" if whole else "/collections/oracle/snapshots/") + name
        return "recover_snapshot", {"location": place}, [attempt(self.remote, "recover_snapshot", collection_name="oracle", location=place), True]

    def differs(self):
        """Why the two sides do not hold the same."""
        names, aliases = zip(*(
            (sorted(c.name for c in client.get_collections().collections), sorted((a.alias_name, a.collection_name) for a in client.get_aliases().aliases))
            for client in (self.remote, self.local)))
        if names[0] != names[1] or aliases[0] != aliases[1]:
            return f"collections {names} or aliases {aliases}"
        for name in names[0]:
            reason = compare(*self.both("scroll", name, limit=POINTS, with_vectors=True))
            if reason:
                return f"{reason} of {name}"
            if self.configured(self.remote, name) != self.configured(self.local, name):
                return f"the configurations of {name}"
        fields = {field: index.data_type.value for field, index in self.remote.get_collection("oracle").payload_schema.items()}
        if fields != self.indexes:
            return f"the indexes {fields}, {self.indexes}"
        if self.listed() != sorted(self.snapshots):
            return "the list of snapshots"

    @staticmethod
    def configured(client, name):
        """What the engine in memory knows of a configuration, too."""
        config = client.get_collection(name).config
        vectors = config.params.vectors
        vectors = {n: (v.size, v.distance, v.multivector_config) for n, v in (vectors if isinstance(vectors, dict) else {"": vectors}).items()}
        return vectors, {n: v.modifier for n, v in (config.params.sparse_vectors or {}).items()}, config.metadata

    def shown(self):
        return {c.name: self.remote.get_collection(c.name).model_dump(include=SHOWN) for c in self.remote.get_collections().collections}

    def restart(self):
        before, r = self.shown(), self.g.random
        how = r.choice(["end", "kill", f"kill {r.randint(0, 200)}"])
        print(how, flush=True)
        if not sys.stdin.readline():
            sys.exit("the server does not come back")
        after = self.shown()
        return how, {}, self.differs() or (None if before == after else "what collections show"), (before, after)


def main(url, rounds, seed):
    g = Generator(int(seed))
    remote, local = QdrantClient(url, timeout=30), QdrantClient(":memory:")
    cases = 0
    for n in range(int(rounds)):
        if n % 5 == 0:
            world = World(g, remote, local)
        steps = [lambda: world.step() if g.random.random() < 0.95 else world.manage()] * g.random.randint(1, 2 * CASES)
        for step in [*steps, world.restart]:
            method, options, reason, answers = step()
            cases += 1
            if reason:
                print(f"round {n}, request {cases}, distances {world.distances}: {method}({options}): {reason} differ")
                sides = ("before", "after") if step == world.restart else ("freshet", "local")
                for name, answer, other in zip(sides, answers, reversed(answers)):
                    print(f"{name}: {brief(answer, other)}")
                sys.exit(1)
    print(f"{rounds} restarts amid {cases} requests, no difference")


main(*sys.argv[1:])
