# Targets that prove things. Included by the top Makefile.

.PHONY: deps-% demo test test-unit test-system test-fuzz test-chaos test-transparency check-arch \
	fuzz bench bench-dns bench-http format check-format

deps-%:
	$(Q)tests/deps.sh $(sort build $*)

demo: deps-demo ## see it work: installs what is missing, builds, shows failures that nobody notices
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTHON) -m tests.easim.demo

test: deps-test ## everything: units, fuzz corpora, architecture, system, under sanitizers too
	$(Q)$(PYTHON) tests/run.py

test-unit: $(UNIT) ## the cmocka units of this build
	$(Q)$(PYTHON) tests/run.py --only unit --build $(BUILD)

test-fuzz: $(FUZZ) ## the fuzz targets over their corpora, without a fuzzer
	$(Q)$(PYTHON) tests/run.py --only fuzz --build $(BUILD)

CHAOS := $(patsubst tests/chaos/%.c,$(BUILD)/tests/chaos/%,$(wildcard tests/chaos/*.c))
$(BUILD)/tests/chaos/%: $(BUILD)/tests/chaos/%.o
	$(LINK)

test-system: $(PROGRAMS) $(SNIPPETS) $(CHAOS) ## pytest against real processes of this build
	$(Q)$(PYTHON) tests/run.py --only system --build $(BUILD)

# CONNECTS and the SEED of an earlier run may be given.
CONNECTS ?= 100000
test-chaos: $(PROGRAMS) $(CHAOS) ## 64 programs connect 100,000 times while instances come and go
	$(Q)CROWFLY_BUILD=$(BUILD) $(PYTHON) -m tests.chaos --connects $(CONNECTS) \
		$(if $(SEED),--seed $(SEED))

# About ten minutes. SUITES="test_socket test_ssl" runs those alone.
test-transparency: deps-transparency $(PROGRAMS) ## CPython's own suites, with the library and without
	$(Q)CROWFLY_BUILD=$(BUILD) $(PYTHON) tests/transparency.py $(SUITES)

tests-built: $(PROGRAMS) $(UNIT) $(SNIPPETS) $(FUZZ) $(CHAOS)
bench-built: $(PROGRAMS) $(BENCH)

check-arch: $(PROGRAMS) ## the invariants of docs/architecture.md that a build can see
	$(Q)$(PYTHON) tests/arch/check.py --build $(BUILD)

# FUZZ_SECONDS each; findings land beside the corpus.
FUZZ_SECONDS ?= 60
fuzz: deps-test ## libFuzzer on every parser of foreign bytes, FUZZ_SECONDS=60 each
	$(Q)$(MAKE) --no-print-directory BUILD=build-fuzz CC=clang FUZZER=1 SAN=address fuzz-run
fuzz-run: $(FUZZ)
	$(Q)for target in $(FUZZ); do name=$${target##*/fuzz_}; mkdir -p build-fuzz/corpus/$$name; \
		echo "fuzzing $$name for $(FUZZ_SECONDS) s"; $$target -max_total_time=$(FUZZ_SECONDS) \
		-timeout=5 -rss_limit_mb=2048 -artifact_prefix=build-fuzz/$$name- \
		build-fuzz/corpus/$$name tests/fuzz/corpus/$$name 2>&1 | tail -n 2 || exit 1; done

bench: deps-bench ## every figure of the README, as a ratio or against a limit of the same run
	$(Q)$(MAKE) --no-print-directory bench-built
	$(Q)CROWFLY_BUILD=$(BUILD) $(PYTHON) -m bench.run

# About four minutes. SUITES="own tcp" runs those alone.
bench-dns: deps-bench-dns ## what the DNS responder costs, against NSD, Knot, unbound, dnsmasq, resolved
	$(Q)$(MAKE) --no-print-directory bench-built
	$(Q)CROWFLY_BUILD=$(BUILD) $(PYTHON) -m bench.dns $(SUITES)

bench-http: deps-bench ## what a page, a scrape and slow readers cost at 100,000 instances
	$(Q)$(MAKE) --no-print-directory bench-built
	$(Q)CROWFLY_BUILD=$(BUILD) $(PYTHON) -m bench.http

SOURCES = $(shell find resolver preload daemon cli tests bench docs -name '*.[ch]')
format: ## clang-format over everything
	$(Q)clang-format -i $(SOURCES)
check-format: ## says what clang-format would change
	$(Q)clang-format --dry-run -Werror $(SOURCES)
