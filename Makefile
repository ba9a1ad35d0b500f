# Two commands do everything: `make demo` shows the database at work, `make
# test` passes the tests. Both need Go and make; what else they need they
# install themselves.

GO      ?= go
TOOLS   := $(GO) tool -modfile=tools/go.mod
VERSION ?= 0.1.0-dev
FLAGS   := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"

.PHONY: demo test lint unit race portable e2e k8s flink fuzz fuzz-api bench build release image image-test

demo:
	$(GO) run ./cmd/freshet demo

test: lint unit race portable powercut e2e k8s

# A static binary in the current folder.
build:
	CGO_ENABLED=0 $(GO) build $(FLAGS) -o freshet ./cmd/freshet

# A release in dist/: binaries for two architectures, what they are made of (CycloneDX),
# checksums.
SBOM := $(GO) run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
release:
	rm -rf dist
	for arch in amd64 arm64; do \
	  name=freshet-$(VERSION)-linux-$$arch && mkdir -p dist/$$name && \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build $(FLAGS) -o dist/$$name/freshet ./cmd/freshet && \
	  $(SBOM) bin -json -version v$(VERSION:v%=%) -output dist/$$name.cdx.json dist/$$name/freshet && \
	  cp LICENSE README.md examples/minilm/NOTICE dist/$$name && \
	  tar -C dist --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -czf dist/$$name.tar.gz $$name && \
	  rm -r dist/$$name || exit 1; \
	done
	cd dist && sha256sum * >SHA256SUMS

lint:
	$(GO) mod verify
	$(TOOLS) golangci-lint run ./...
	$(TOOLS) golangci-lint run --build-tags e2e ./e2e
	cd e2e/k8s && $(GO) tool -modfile=../../tools/go.mod golangci-lint run ./...
	cd e2e/k8s/server && $(GO) tool -modfile=../../../tools/go.mod golangci-lint run ./...

# Known vulnerabilities in what is used; says so and goes on where their database cannot
# be reached. It is no part of the tests: what is found tomorrow must not fail what passes today.
.PHONY: vulnerabilities
vulnerabilities:
	tools/vulnerabilities.sh

unit:
	$(GO) test ./...
	cd hnsw/kernels/gen && $(GO) vet ./...
	cd bench/plot && $(GO) vet ./... && $(GO) test ./...

race:
	$(GO) test -race -timeout 20m ./...

# The kernels in plain Go, and another architecture, which QEMU stands in for: the parts of
# the tests in which that makes a difference, since it takes its time.
ON_ARM64 := GOARCH=arm64 CGO_ENABLED=0 $(GO) test -exec qemu-aarch64-static
portable:
	hnsw/setup.sh
	$(GO) vet -tags purego ./...
	$(GO) test -tags purego ./hnsw/...
	$(GO) test -tags purego -run 'Search|Vectors|Loaded|Datatypes' ./server
	GOARCH=arm64 $(GO) vet ./...
	GOARCH=arm64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/freshet
	$(ON_ARM64) ./hnsw/kernels
	$(ON_ARM64) -run 'Normalize|DistancesOnCodes|AwkwardVectors|BadInput|WithoutCodes|WhileCodesChange' ./hnsw

# The binary against Apache Kafka, Apache Flink, kafka-python and the clients of
# Qdrant. Most of these tests wait most of the time, so more of them go on at a time than there
# are cores.
e2e:
	e2e/setup.sh
	$(GO) test -tags e2e -count=1 -timeout 20m -parallel 4 ./e2e

# The manifests, the chart, the alerts, the workflows.
k8s:
	e2e/setup.sh
	cd e2e/k8s && $(GO) vet ./... && $(GO) test -count=1 ./...

# The manifests as a real API server judges them, with --dry-run=server. It is compiled for
# that, which takes minutes the first time: no part of the tests, a job of its own in
# .github/workflows/build.yml.
.PHONY: k8s-server
k8s-server:
	e2e/k8s/server/setup.sh
	cd e2e/k8s/server && $(GO) test -count=1 ./...

# The pipeline of examples/flink with its real parts, and where the time goes.
flink:
	examples/flink/run.sh

# Requests made up from the API's document, REQUESTS for each operation, to the
# server at URL, in which they leave their mark.
REQUESTS ?= 300
URL      ?= http://localhost:6333
fuzz-api:
	e2e/setup.sh
	e2e/fuzz/run.sh $(URL) $(REQUESTS)

# Kills amid everything that the server does at once, ROUNDS of them.
.PHONY: crash
crash: ROUNDS ?= 1000
crash:
	e2e/setup.sh
	ROUNDS=$(ROUNDS) SEED=$(SEED) $(GO) test -tags e2e -count=1 -timeout 120m -v -run '^TestCrash$$' ./e2e

# A broker that is killed, falls silent and gets partitions, records that are no points,
# more load than the server takes, and a disk that is slow, ROUNDS of these.
.PHONY: chaos
chaos: ROUNDS ?= 200
chaos:
	e2e/setup.sh
	ROUNDS=$(ROUNDS) SEED=$(SEED) $(GO) test -tags e2e -count=1 -timeout 0 -v -run '^TestChaos$$' ./e2e

# Random requests of the whole API, and restarts amid them, ROUNDS of these: all answers
# are compared with those of qdrant-client's engine in memory.
.PHONY: model
model: ROUNDS ?= 1000
model:
	e2e/setup.sh
	ROUNDS=$(ROUNDS) SEED=$(SEED) $(GO) test -tags e2e -count=1 -timeout 0 -v -run '^TestModel$$' ./e2e

# Power cuts, with some of what was not synced: ROUNDS of them amid writes, and a fiftieth of
# that of histories, which have some ten each, in any order with writes, repairs and restarts;
# and file operations that fail, each in its turn. SEED repeats a run.
.PHONY: powercut faults
powercut: ROUNDS ?= 10000
powercut:
	FRESHET_ROUNDS=$(ROUNDS) FRESHET_SEED=$(SEED) $(GO) test -count=1 -timeout 60m -run '^TestPowerCuts$$' ./server
	FRESHET_ROUNDS=$$(($(ROUNDS) / 50 + 1)) FRESHET_SEED=$(SEED) $(GO) test -count=1 -timeout 60m -run '^TestCrashes$$' ./server
faults: ROUNDS ?= 100000
faults:
	FRESHET_ROUNDS=$(ROUNDS) FRESHET_SEED=$(SEED) $(GO) test -count=1 -timeout 60m -v -run '^TestFaults$$' ./server

# Collections made, filled, searched and dropped for TIME: goroutines, files, memory and
# disk return to what they were.
.PHONY: leaks
leaks: TIME ?= 30m
leaks:
	FRESHET_LEAK_TIME=$(TIME) $(GO) test -count=1 -timeout 0 -v -run '^TestLeaks$$' ./cmd/freshet

# Each fuzz target for FUZZTIME.
FUZZTIME ?= 30s
fuzz:
	for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	  done; \
	done

# A quarter of an hour; FULL=1: hours. BASE and QUERIES name .npy files to
# measure with instead, NAME what the tables call them, FILTERS a folder of filters.
bench:
	bench/setup.sh
	$(GO) build -ldflags "-X main.commit=$$(git describe --always --dirty)" -o .cache/bench ./bench
	$(GO) build -C bench/plot -o ../../.cache/bench-plot .
	.cache/bench all $(if $(FULL),--full) $(if $(BASE),--base $(BASE) --queries $(QUERIES)) $(if $(NAME),--name $(NAME)) $(if $(FILTERS),--filters $(FILTERS))

image:
	docker build --build-arg VERSION=$(VERSION) -t freshet:$(VERSION) .

# The same image, built and run without an engine or a registry.
image-test:
	e2e/image.sh
