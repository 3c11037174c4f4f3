# distcache: build, run and check. `make help` lists the targets from the comments behind them.
# A fresh machine needs Go, gcc, make and git; the rest comes from go.mod.

GO       ?= go
FUZZTIME ?= 10s
SOAK     ?= 10m
SIM      ?= 10m
COUNT    ?= 3
ROUNDS   ?= 5
DURATION ?= 2s
SESSIONS ?= 1000000
PARTS    ?=
FAILOVERS ?= 100
OTHER    ?=
LOGS     ?=
TIMEOUT  ?= 8m
LISTEN   ?= IP:127.0.0.1:9001
DATA     ?= ./distcache-data
PREFIX   ?= /usr/local
INSTALL  ?= install

# What the tools say that they are, with -version, in the log and to each other. Without git, say it: VERSION=1.2.3.
VERSION  ?= $(shell test -e .git && git describe --tags --always --dirty 2>/dev/null)
LDFLAGS   = $(if $(VERSION),-X github.com/distcache/distcache/internal/config.release=$(VERSION))

# More flags for "make bench-peers": "bin/peers -h" lists them.
PEERFLAGS ?=

# Where "make install" puts what, below DESTDIR. The unit files name the programs in /usr/local/bin; installed elsewhere
# they are changed to match.
TOOLS   := dc_admin dc_client dc_server dc_snoop dc_test
BINDIR   = $(PREFIX)/bin
MANDIR   = $(PREFIX)/share/man
UNITDIR  = $(PREFIX)/lib/systemd/system
MAN1    := $(wildcard docs/man/*.1)
MAN8    := $(wildcard docs/man/*.8)
UNITS   := $(wildcard docs/systemd/*.service docs/systemd/*.socket)

.DEFAULT_GOAL := help
.PHONY: help build install uninstall run demo demo-secure test lint fuzz bench bench-peers bench-short bench-scale bench-failover soak sim sim-mutants clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build every tool into bin/, as VERSION (what git describes)
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

install: build ## install the tools, manual pages and systemd units below PREFIX (/usr/local), after DESTDIR if given
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(UNITDIR)
	$(INSTALL) -m 755 $(TOOLS:%=bin/%) $(DESTDIR)$(BINDIR)
	$(INSTALL) -m 644 $(MAN1) $(DESTDIR)$(MANDIR)/man1
	$(INSTALL) -m 644 $(MAN8) $(DESTDIR)$(MANDIR)/man8
	for unit in $(UNITS); do \
		sed 's|/usr/local/bin/|$(BINDIR)/|' $$unit >$(DESTDIR)$(UNITDIR)/$${unit##*/} && \
		chmod 644 $(DESTDIR)$(UNITDIR)/$${unit##*/} || exit 1; \
	done

uninstall: ## remove what "make install" with the same PREFIX and DESTDIR put there; settings and data are left alone
	rm -f $(TOOLS:%=$(DESTDIR)$(BINDIR)/%) \
		$(MAN1:docs/man/%=$(DESTDIR)$(MANDIR)/man1/%) $(MAN8:docs/man/%=$(DESTDIR)$(MANDIR)/man8/%) \
		$(UNITS:docs/systemd/%=$(DESTDIR)$(UNITDIR)/%)

run: build ## build, then run one durable node on IP:127.0.0.1:9001, its data in ./distcache-data
	exec ./bin/dc_server -listen $(LISTEN) -data $(DATA)

demo: build ## three nodes on the loopback: failover and restart with nothing lost, in under a minute
	$(GO) build -o bin/demo ./internal/demo
	exec ./bin/demo

demo-secure: build ## three nodes and two proxies with certificates and a seal key: no session data in the clear, in under a minute
	$(GO) build -o bin/demo-secure ./internal/demo/secure
	exec ./bin/demo-secure

test: ## go vet, then every test with the race detector
	$(GO) vet ./...
	$(GO) test -race -timeout $(TIMEOUT) ./...

lint: ## gofmt and staticcheck; go vet of loadtest/peers, which is a module of its own
	@unformatted="$$(gofmt -l $$(git ls-files -co --exclude-standard -- '*.go'))"; \
	if [ -n "$$unformatted" ]; then echo "gofmt wants to change these files:"; echo "$$unformatted"; exit 1; fi
	$(GO) tool staticcheck ./...
	cd loadtest/peers && $(GO) vet ./...

fuzz: ## run each fuzz target for FUZZTIME (10s)
	@set -e; for dir in $$($(GO) list -f '{{.Dir}}' ./...); do \
		for target in $$(cat /dev/null "$$dir"/*_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do \
			echo "$$target in $${dir#$(CURDIR)/}"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$dir"; \
		done; \
	done

bench: ## run every Go benchmark, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-peers: ## the same work on ours, etcd and redis side by side: ROUNDS (5) rounds, DURATION (2s) each; about 7 minutes
	@cd loadtest/peers && $(GO) build -o ../../bin/peers .
	@exec ./bin/peers -rounds $(ROUNDS) -duration $(DURATION) $(PEERFLAGS)

bench-short: build ## a connection for each request through dc_client, from callers in C (needs gcc): CALLERS (1 16 64)
	@exec loadtest/short/run.sh bin $(CALLERS)

bench-scale: ## one node and three, with 10 000 sessions and with SESSIONS (1000000); PARTS of it: get,add,restart,join,compact
	DISTCACHE_SCALE=$(SESSIONS) DISTCACHE_SCALE_PARTS=$(PARTS) \
		$(GO) test -v -count 1 -run '^TestScale$$' -timeout 4h ./cmd/dc_server

bench-failover: ## kill the leader of three nodes FAILOVERS (100) times, bolt and wal; OTHER=dc_server: in turns with it; LOGS=1
	DISTCACHE_FAILOVERS=$(FAILOVERS) DISTCACHE_FAILOVER_OTHER=$(OTHER) DISTCACHE_FAILOVER_LOGS=$(LOGS) \
		$(GO) test -v -count 1 -run '^TestFailovers$$' -timeout 4h ./cmd/dc_server

soak: ## kill, stop and freeze three nodes at random for SOAK (10m), then repeat every test COUNT (3) times
	DISTCACHE_SOAK=$(SOAK) $(GO) test -race -v -count 1 -run '^TestSoak$$' -timeout 24h ./cmd/dc_server
	$(GO) test -race -count $(COUNT) -timeout 2h ./...

sim: ## whole clusters in one process with faults, for SIM (10m); SIM_SEED=n replays one; SIM_FAULTS=kill,cut or -hang: which
	SIM=$(SIM) $(GO) test -v -count 1 -run '^TestSim$$' -timeout 24h ./raftstore

sim-mutants: ## show that "make sim" finds each of the safety mechanisms that a build can be without
	$(GO) test -tags mutants -v -count 1 -run '^TestSimMutants$$' -timeout 1h ./raftstore

clean: ## remove bin/ and the Go test cache; data directories are left alone
	rm -rf bin
	$(GO) clean -testcache
