# "make" lists the targets. Nothing but Go, make and git is needed beforehand; what the tests need besides, "make test" finds,
# starts or installs (see internal/testserver/cmd/testservers).

GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 10s
SEED     ?= 1
PKG      ?= ./...

.PHONY: help build run test chaos compatibility race lint fmt fmt-check fuzz bench bench-quick bench-smoke microbench budgets cover tidy tidy-check vet check \
	clean tools harness

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/taskq
	go build -o bin/taskq ./cmd/taskq

run: build ## see it work: a worker, a task, its result and the stored row
	@sh scripts/run.sh bin/taskq

test: vet tools ## test everything, with servers of its own, Python Celery and the race detector
	bin/testservers bin/testsummary -race -shuffle=on $(PKG)

chaos: ## break everything under load and write docs/reliability.md (a quarter of an hour; SEED=1)
	go build -o bin/chaos ./internal/chaos/cmd/chaos
	bin/chaos -seed $(SEED) -write docs/reliability.md

compatibility: tools ## call Python from Go and Go from Python in every way, and write the table in docs/compatibility.md
	TASKQ_WRITE_COMPATIBILITY=1 bin/testservers go test -count=1 -run TestNobodyCanTell -v ./internal/interop

race: ## test without servers, with the race detector (PKG=./pool: that package)
	go test -race -shuffle=on $(PKG)

vet: ## vet for Linux, macOS and Windows, which compiles everything for each of them
	go vet ./...
	GOOS=darwin go vet ./...
	GOOS=windows go vet ./...
	cd bench && go vet ./... && GOOS=darwin go vet ./... && GOOS=windows go vet ./...

lint: ## run the linters (the first time they are built: two to three minutes)
	$(GOLANGCI) run ./...
	cd bench && $(GOLANGCI) run ./...

fmt: ## format the code
	$(GOLANGCI) fmt
	cd bench && $(GOLANGCI) fmt

fmt-check: ## show what fmt would change, and fail if there is anything
	$(GOLANGCI) fmt --diff
	cd bench && $(GOLANGCI) fmt --diff

fuzz: ## run each fuzz test for FUZZTIME (10s)
	@sh scripts/fuzz.sh $(FUZZTIME)

bench: tools harness ## measure taskq, the bare client, Celery and others; write docs/performance.md and the figures of docs/tuning.md (half an hour)
	cd bench && ../bin/testservers ../bin/bench -mode full -out ../bin/bench.json -write ..

bench-quick: tools harness ## the main figures, on the terminal (three minutes)
	cd bench && ../bin/testservers ../bin/bench -mode quick

bench-smoke: tools harness ## does the harness still work? (a minute; the figures mean nothing)
	cd bench && ../bin/testservers ../bin/bench -mode smoke

budgets: ## do the busiest steps keep to their budgets of allocations? (without the race detector, which allocates, too)
	go test -count=1 -run 'KeepsToItsAllocations|KeepToTheirAllocations' . ./internal/wire ./worker

microbench: tools ## run the benchmarks of Go, with their allocations (two minutes; PKG=./pool: that package)
	bin/testservers go test -run '^$$' -bench . -benchmem -benchtime 100ms $(PKG)

cover: tools ## test everything and write coverage.html
	bin/testservers bin/testsummary -coverpkg=./... -coverprofile=coverage.out $(PKG)
	go tool cover -html=coverage.out -o coverage.html
	go tool cover -func=coverage.out | tail -1

tidy: ## tidy go.mod
	go mod tidy
	cd bench && go mod tidy

tidy-check: ## show what tidy would change, and fail if there is anything
	go mod tidy -diff
	cd bench && go mod tidy -diff

check: fmt-check tidy-check lint vet ## everything that is quick: formatting, go.mod, linters, vet, tests without servers
	go test $(PKG)

clean: ## remove what was built
	rm -rf bin coverage.out coverage.html

# built, not "go run": that would not pass a signal on
tools:
	@go build -o bin/ ./internal/testserver/cmd/testservers ./internal/testserver/cmd/testsummary

harness:
	@cd bench && go build -o ../bin/bench .
