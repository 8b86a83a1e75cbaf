# SPDX-License-Identifier: MIT
# `make help` lists the targets. What a target needs from Debian it installs.

ARCH := $(shell dpkg --print-architecture)
BIN := build/bin
CORPUS := build/corpus
DEMO := build/demo
MAN := build/man
DEB := build/deb
PREFIX := /usr/local
COMMANDS := $(notdir $(wildcard cmd/*))
GO_FILES := $(shell find cmd internal pkg -name '*.go') go.mod go.sum
MAN_PAGES := $(patsubst doc/%.scd,$(MAN)/%,$(wildcard doc/*.scd))

# What building modules takes, and what the tests compare with.
BUILD_PACKAGES := linux-headers-$(ARCH) build-essential bubblewrap xz-utils patch
TEST_PACKAGES := $(BUILD_PACKAGES) debhelper dh-dkms dkms dctrl-tools dpkg-dev fakeroot kmod lintian llvm zstd \
	gawk libelf-dev libxtables-dev scdoc man-db openssl softhsm2 libengine-pkcs11-openssl \
	apt-utils cpio gcc-12-aarch64-linux-gnu lz4 mmdebstrap mount python3
ACCEPTANCE_PACKAGES := $(TEST_PACKAGES) diffoscope-minimal gdb git \
	qemu-system-x86 qemu-system-arm ovmf
DEB_PACKAGES := build-essential debhelper scdoc lintian
BENCH_PACKAGES := $(TEST_PACKAGES) jq

# The -dkms packages of reference for the tests: every one of Debian 12 that
# brings its own sources.
CORPUS_PACKAGES := $(shell cat test/corpus.list)

# Commands of debhelper's kind have underscores.
binary = $(BIN)/$(if $(filter dh-%,$1),$(subst -,_,$1),$1)

.DELETE_ON_ERROR:

.PHONY: all
all: $(foreach c,$(COMMANDS),$(call binary,$c)) ## build the commands (default)

define build-command
$(call binary,$1): $$(GO_FILES)
	go build -trimpath -o $$@ ./cmd/$1
endef
$(foreach c,$(COMMANDS),$(eval $(call build-command,$c)))

.PHONY: man
man: ## make the man pages
	@test/apt-install scdoc
	@$(MAKE) --no-print-directory $(MAN_PAGES)

$(MAN)/%: doc/%.scd
	@mkdir -p $(@D)
	scdoc < $< > $@

# debhelper finds its parts below /usr only: PREFIX=/usr, or make deb.
.PHONY: install
install: all $(MAN_PAGES) ## install commands, man pages, completion (PREFIX=/usr/local)
	install -D -t $(DESTDIR)$(PREFIX)/bin $(foreach c,$(COMMANDS),$(call binary,$c))
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(MAN_PAGES)
	for c in $(basename $(notdir $(wildcard completion/*.bash))); do \
		install -D -m 644 completion/$$c.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$c || exit; \
	done
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/perl5/Debian/Debhelper/Sequence debhelper/perl5/Debian/Debhelper/Sequence/*
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/debhelper/autoscripts debhelper/autoscripts/*

.PHONY: source
source: ## write and unpack the source of gokms's own packages in build/deb
	@test/apt-install build-essential debhelper xz-utils
	rm -rf $(DEB)
	debian/source-tree $(DEB)

.PHONY: deb
deb: source ## build gokms's own packages in build/deb
	@test/apt-install $(DEB_PACKAGES)
	cd $(DEB)/gokms-*/ && DEB_BUILD_OPTIONS="$${DEB_BUILD_OPTIONS-nocheck}" dpkg-buildpackage -us -uc -Ppkg.gokms.upstream-go
	lintian --fail-on error,warning $(DEB)/*.changes

.PHONY: help
help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | sort | expand -t 14

.PHONY: demo
demo: all ## build two real modules for today's Debian kernel and show the packages
	@test/apt-install $(BUILD_PACKAGES)
	@test/demo $(BIN) $(DEMO)

.PHONY: test
test: lint corpus ## run all tests but acceptance
	@test/apt-install $(TEST_PACKAGES)
	GOKMS_REQUIRE=1 GOKMS_CORPUS=$(CURDIR)/$(CORPUS) go test -race -timeout 20m ./...

.PHONY: quick
quick: ## run the tests that take seconds; what is not installed is skipped
	go test -short ./...

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, go mod tidy
	@test -z "$$(gofmt -l cmd internal pkg test bench | tee /dev/stderr)"
	go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff

.PHONY: corpus
corpus: $(CORPUS)/.stamp ## fetch the -dkms packages of Debian that the tests use

$(CORPUS)/.stamp: test/corpus.list
	@mkdir -p $(CORPUS)
	@test/apt-download $(CORPUS) $(CORPUS_PACKAGES)
	@touch $@

.PHONY: acceptance
acceptance: all corpus ## compare with dkms, install in chroots (slow, wants root)
	@test/apt-install $(ACCEPTANCE_PACKAGES)
	GOKMS_ACCEPTANCE=1 GOKMS_REQUIRE=1 GOKMS_BIN=$(CURDIR)/$(BIN) GOKMS_CORPUS=$(CURDIR)/$(CORPUS) \
		go test -v -count=1 -timeout 3h ./test/acceptance

.PHONY: bench
bench: all corpus ## measure against make, dkms, dpkg-deb and installed headers
	@test/apt-install $(BENCH_PACKAGES)
	bench/mkbmdeb $(BIN) $(CORPUS)
	bench/cached $(BIN) $(CORPUS)
	bench/pack/run

.PHONY: clean
clean: ## remove what was built
	rm -rf build
