# Targets that prove things. Included by the top Makefile.

.PHONY: deps-% demo test test-unit test-system test-fuzz check-arch fuzz bench format check-format

deps-%:
	$(Q)tests/deps.sh build $*

demo: deps-demo ## see it work: installs what is missing, builds, shows failures that nobody notices
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTHON) -m tests.easim.demo

test: deps-test ## everything: units, fuzz corpora, architecture, system, under sanitizers too
	$(Q)$(PYTHON) tests/run.py

test-unit: $(UNIT) ## the cmocka units of this build
	$(Q)$(PYTHON) tests/run.py --only unit --build $(BUILD)

test-fuzz: $(FUZZ) ## the fuzz targets over their corpora, without a fuzzer
	$(Q)$(PYTHON) tests/run.py --only fuzz --build $(BUILD)

test-system: $(PROGRAMS) $(SNIPPETS) ## pytest against real processes of this build
	$(Q)$(PYTHON) tests/run.py --only system --build $(BUILD)

tests-built: $(PROGRAMS) $(UNIT) $(SNIPPETS) $(FUZZ)
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
	$(Q)$(PYTHON) bench/run.py --build $(BUILD)

SOURCES = $(shell git ls-files '*.c' '*.h')
format: ## clang-format over everything
	$(Q)clang-format -i $(SOURCES)
check-format:
	$(Q)clang-format --dry-run -Werror $(SOURCES)
