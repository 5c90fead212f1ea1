# crowfly: `make help` lists what there is.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0
ifeq ($(origin CC),default)
CC      := gcc
endif
PYTHON  ?= /usr/bin/python3
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)

# SAN=address (with undefined) or SAN=thread builds everything under that sanitizer.
SAN_address := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SAN_thread  := -fsanitize=thread
SANFLAGS    := $(SAN_$(SAN)) $(if $(FUZZER),-fsanitize=fuzzer-no-link)

OPT      ?= -O2 -g
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual \
            -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Werror=implicit-function-declaration
CPPFLAGS += -I. -I$(BUILD) -D_GNU_SOURCE -DCROW_VERSION='"$(VERSION)"'
CFLAGS   += -std=gnu11 $(OPT) $(WARN) -fPIC -pthread $(SANFLAGS)
LDFLAGS  += -pthread $(SANFLAGS)
LIBS_cli    := -lresolv -ljson-c
LIBS_daemon := -lcurl -ljson-c -lmicrohttpd -linih -lcares

objs = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)))
RESOLVER := $(call objs,resolver/*.c)
PRELOAD  := $(call objs,preload/*.c)
DAEMON   := $(call objs,daemon/*.c daemon/*/*.c)
CLI      := $(call objs,cli/*.c)
UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
SNIPPETS := $(patsubst tests/snippets/%.c,$(BUILD)/tests/snippets/%,$(wildcard tests/snippets/*.c)) \
            $(patsubst tests/snippets/%.c,$(BUILD)/tests/snippets/%.so,$(wildcard tests/snippets/lib/*.c))
FUZZ     := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH    := $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c))
PROGRAMS := $(BUILD)/crowflyd $(BUILD)/crowfly $(BUILD)/libcrowfly.so

all: $(PROGRAMS) ## build crowflyd, crowfly and libcrowfly.so (default)

# Touched when a flag is another than last time: then all is built anew.
FLAGS = $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)
$(BUILD)/flags: always
	+@mkdir -p $(@D)
	+@flags="$(subst ",\",$(FLAGS))"; echo "$$flags" | cmp -s - $@ || echo "$$flags" > $@

# Likewise: one file knows where it is installed.
$(BUILD)/prefix: always
	+@mkdir -p $(@D)
	+@echo "$(PREFIX)" | cmp -s - $@ || echo "$(PREFIX)" > $@
$(BUILD)/cli/library.o: $(BUILD)/prefix

$(BUILD)/%.o: %.c Makefile $(BUILD)/flags
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC    $<")
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(CFLAGS_$(firstword $(subst /, ,$<))) -MD -MP -c -o $@ $< || \
		{ tests/deps.sh -n build $(if $(filter tests/%,$<),test); exit 1; }

# The programs are optimized once more when they are linked: that takes 30 ns of 900 from what a
# connect() to an instance costs (`make bench`), and 1 % from a DNS answer. The archives hold plain
# code as well, for all that is linked without; clang has no objects of both kinds.
LTO := $(if $(strip $(SANFLAGS))$(findstring clang,$(CC)),,-flto=auto -ffat-lto-objects)

# The preload library shows exactly what exports.map names, and binds all of it at load time: a
# lazy binding in a signal handler or a vfork child would run the dynamic linker there.
CFLAGS_preload  := -fvisibility=hidden -fno-plt -ftls-model=initial-exec $(LTO)
CFLAGS_resolver := -fvisibility=hidden $(LTO)
CFLAGS_daemon   := $(LTO)
CFLAGS_cli      := -DCROW_LIBDIR='"$(PREFIX)/lib/crowfly"'

# The page's style and script as C strings.
$(BUILD)/daemon/http/page.o: $(BUILD)/daemon/http/assets.h
$(BUILD)/daemon/http/assets.h: daemon/http/assets.sh daemon/http/page.css daemon/http/page.js
	@mkdir -p $(@D)
	$(Q)sh $^ > $@.new && mv $@.new $@

$(BUILD)/libcrowfly-resolver.a: $(RESOLVER)
$(BUILD)/libcrowfly-daemon.a: $(filter-out $(BUILD)/daemon/main.o,$(DAEMON))
$(BUILD)/libcrowfly-preload.a: $(PRELOAD)
$(BUILD)/libcrowfly-cli.a: $(filter-out $(BUILD)/cli/main.o,$(CLI))
%.a:
	$(if $(Q),@echo "  AR    $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $^

LINK = $(if $(Q),@echo "  LD    $@";) mkdir -p $(@D) && $(CC) $(LDFLAGS) \
       $(or $(if $(filter $(PROGRAMS),$@),$(LTO)),-fno-lto) -o $@ $(filter %.o %.a,$^)

$(BUILD)/crowflyd: $(BUILD)/daemon/main.o $(BUILD)/libcrowfly-daemon.a $(BUILD)/libcrowfly-resolver.a
	$(LINK) $(LIBS_daemon)
$(BUILD)/crowfly: $(CLI) $(BUILD)/libcrowfly-resolver.a
	$(LINK) $(LIBS_cli)
$(BUILD)/libcrowfly.so: $(PRELOAD) $(BUILD)/libcrowfly-resolver.a preload/exports.map
	$(LINK) -shared -Wl,--version-script=preload/exports.map -Wl,-soname,libcrowfly.so \
		-Wl,-z,now -Wl,-z,relro $(if $(strip $(SANFLAGS)),,-Wl,--no-undefined) -Wl,--exclude-libs,ALL

ARCHIVES := $(addprefix $(BUILD)/libcrowfly-,daemon.a cli.a preload.a resolver.a)
# One looks over the event loop's shoulder, the other plays the upstreams.
$(BUILD)/tests/unit/test_fetch: private LDFLAGS += -Wl,--wrap=epoll_ctl
$(BUILD)/tests/unit/test_ends: private LDFLAGS += -Wl,--wrap=crow_exchange_send
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(ARCHIVES)
	$(LINK) -lcmocka $(LIBS_daemon) $(LIBS_cli)
$(BUILD)/tests/snippets/%: $(BUILD)/tests/snippets/%.o
	$(LINK)
$(BUILD)/tests/snippets/lib/%.so: $(BUILD)/tests/snippets/lib/%.o
	$(LINK) -shared
# FUZZER=1 (with CC=clang) links libFuzzer's main; without it, one that replays the corpus.
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(if $(FUZZER),,$(BUILD)/tests/fuzz/replay.o) $(ARCHIVES)
	$(LINK) $(LIBS_daemon) $(LIBS_cli) $(if $(FUZZER),-fsanitize=fuzzer)
# Programs as others write them: with our archives they would have calls of their own from those.
BENCH_ALONE := $(BUILD)/bench/client $(BUILD)/bench/connects
$(BENCH_ALONE): $(BUILD)/bench/%: $(BUILD)/bench/%.o
	$(LINK)
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(ARCHIVES)
	$(LINK) $(LIBS_daemon) $(LIBS_cli) -lm

include tests/tests.mk
include docs/install.mk

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  V=1 shows commands; SAN=address|thread BUILD=dir builds under a sanitizer"

clean: ## remove what was built
	rm -rf $(BUILD) build-*

.PHONY: all help clean always
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
