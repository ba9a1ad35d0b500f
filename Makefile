# Two commands do everything: `make demo` shows the database at work, `make
# test` passes the tests. Both need Go and make; what else they need they
# install themselves.

GO      ?= go
TOOLS   := $(GO) tool -modfile=tools/go.mod
VERSION ?= 0.1.0-dev
FLAGS   := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"

.PHONY: demo test lint unit race portable e2e flink fuzz fuzz-api bench build image

demo:
	$(GO) run ./cmd/freshet demo

test: lint unit race portable e2e

# A static binary in the current folder.
build:
	CGO_ENABLED=0 $(GO) build $(FLAGS) -o freshet ./cmd/freshet

lint:
	$(GO) mod verify
	$(TOOLS) golangci-lint run ./...
	$(TOOLS) golangci-lint run --build-tags e2e ./e2e

unit:
	$(GO) test ./...
	cd hnsw/kernels/gen && $(GO) vet ./...
	cd bench/plot && $(GO) vet ./... && $(GO) test ./...

race:
	$(GO) test -race -timeout 20m ./...

# The kernels in plain Go, and another architecture, which QEMU stands in for: a
# part of the graph's tests, since it takes its time.
ON_ARM64 := GOARCH=arm64 CGO_ENABLED=0 $(GO) test -exec qemu-aarch64-static
portable:
	hnsw/setup.sh
	$(GO) test -tags purego ./hnsw/... ./server/...
	GOARCH=arm64 $(GO) vet ./...
	GOARCH=arm64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/freshet
	$(ON_ARM64) ./hnsw/kernels
	$(ON_ARM64) -run 'DistancesOnCodes|AwkwardVectors|BadInput|WithoutCodes|WhileCodesChange' ./hnsw

# The binary against Apache Kafka, Apache Flink, kafka-python and the clients of
# Qdrant.
e2e:
	e2e/setup.sh
	$(GO) test -tags e2e -count=1 -timeout 20m ./e2e

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

# Power cuts, with some of what was not synced, in any order with writes and restarts;
# and file operations that fail, each in its turn. ROUNDS of them; SEED repeats a run.
.PHONY: powercut faults
powercut: ROUNDS ?= 1000
powercut:
	FRESHET_ROUNDS=$(ROUNDS) FRESHET_SEED=$(SEED) $(GO) test -count=1 -timeout 60m -run '^TestCrashes$$' ./server
faults: ROUNDS ?= 100000
faults:
	FRESHET_ROUNDS=$(ROUNDS) FRESHET_SEED=$(SEED) $(GO) test -count=1 -timeout 60m -v -run '^TestFaults$$' ./server

# Each fuzz target for FUZZTIME.
FUZZTIME ?= 30s
fuzz:
	for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	  done; \
	done

# A quarter of an hour; FULL=1: hours. BASE and QUERIES name .npy files to
# measure with instead, NAME what the tables call them.
bench:
	bench/setup.sh
	$(GO) build -ldflags "-X main.commit=$$(git describe --always --dirty)" -o .cache/bench ./bench
	$(GO) build -C bench/plot -o ../../.cache/bench-plot .
	.cache/bench all $(if $(FULL),--full) $(if $(BASE),--base $(BASE) --queries $(QUERIES)) $(if $(NAME),--name $(NAME))

image:
	docker build --build-arg VERSION=$(VERSION) -t freshet:$(VERSION) .
