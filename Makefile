# Everything here works from a clean checkout. `make demo` needs Go and nothing else; `make test` installs what it needs.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: build demo deps guest test vet cross race bench lint fuzz soak test-hw man package clean

GO       ?= go
FUZZTIME ?= 10s
OUT      := bin
# What the tests of the guest and of foreign programs need, by Debian's names.
DEBIAN   := qemu-system-x86 busybox-static kmod cpio usbip usbutils yubikey-manager yubikey-personalization \
            libykclient-dev pcscd oathtool pskctool pkg-config gcc libc6-dev libusb-1.0-0-dev strace \
            gnupg age zbar-tools qrencode libxml2-utils python3 python3-pskc python3-pyotp python3-cryptography python3-yaml \
            libpam-oath libpam-google-authenticator libpam-yubico pamtester libpam-wrapper chromium libxkbcommon0 xkb-data \
            postgresql-15 freeradius freeradius-utils yubiserver rpm lintian systemd man-db \
            libpcsclite-dev vsmartcard-vpcd poppler-utils tmux opensc yubico-piv-tool openssl

# cgo where there are a C compiler and the headers of libusb or of PC/SC, either of which may be missing; pure Go otherwise. macOS has PC/SC as
# a framework, and Windows needs no C for it.
HAVE_CC     := $(shell command -v $$($(GO) env CC) >/dev/null 2>&1 && echo yes)
HAVE_LIBUSB := $(shell pkg-config --exists libusb-1.0 2>/dev/null && echo yes)
HAVE_PCSC   := $(shell { [ "$$(uname -s)" = Darwin ] || pkg-config --exists libpcsclite 2>/dev/null; } && echo yes)
CGO         := $(if $(and $(HAVE_CC),$(HAVE_LIBUSB)$(HAVE_PCSC)),1,0)
TAGS        := $(strip $(if $(HAVE_LIBUSB),,nolibusb) $(if $(HAVE_PCSC),,nopcsc))

build:
ifeq ($(CGO),1)
	@echo "building with cgo:$(if $(HAVE_LIBUSB), libusb)$(if $(HAVE_PCSC), PC/SC)"
else
	@echo "building in pure Go, keys over hidraw only"
endif
	@[ -n "$(HAVE_CC)" ]     || echo "for libusb and PC/SC install a C compiler"
	@[ -n "$(HAVE_LIBUSB)" ] || echo "for libusb install libusb-1.0 with headers, and pkg-config"
	@[ -n "$(HAVE_PCSC)" ]   || echo "for smart-card readers install pcsc-lite with headers (libpcsclite-dev), and pkg-config"
	CGO_ENABLED=$(CGO) $(GO) build -trimpath -tags '$(TAGS)' -o $(OUT)/ ./cmd/tokendesk

demo:
	@CGO_ENABLED=0 $(GO) run ./cmd/tokendesk demo

# deps installs Debian's packages when it may, and names what is missing when it may not.
deps:
	@missing=$$(for p in $(DEBIAN); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	[ -z "$$missing" ] && exit 0; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else \
		echo "the tests need these Debian packages: $$missing" >&2; exit 1; \
	fi

# guest fetches and unpacks the kernel of the test machine, once.
guest: deps
	$(GO) run ./hwtest/vm/prepare

vet:
	$(GO) vet ./...

# cross builds everything without C for the three systems.
cross:
	@for os in linux darwin windows; do echo "CGO_ENABLED=0 GOOS=$$os go build ./..."; CGO_ENABLED=0 GOOS=$$os $(GO) build -trimpath ./...; done

# With these two, a test that needs the guest or a foreign program fails instead of being skipped; a skip fails the run.
test: export TOKENDESK_GUEST  = 1
test: export TOKENDESK_JUDGES = 1
test: export CGO_ENABLED      = 1
test: deps guest vet cross
	$(GO) test -json -timeout 40m ./... | $(GO) run .ci/testreport.go
	$(MAKE) race

# race looks for data races, but not inside SQLite, which is C translated to Go and takes most of the time otherwise. It is
# repeated when the detector itself gave up, which it does now and then ("CHECK failed"); what passed is not.
RACY := ./validate/... ./provision/... ./keyfile/secret ./hwtest/vkey/...
PLAIN := -race=false -d=checkptr=0
RACE  := $(GO) test -race -short '-gcflags=modernc.org/sqlite/lib=$(PLAIN)' '-gcflags=modernc.org/libc/...=$(PLAIN)'
race: export CGO_ENABLED = 1
race:
	@mkdir -p $(OUT)
	@for try in 1 2 3; do \
		echo "$(GO) test -race -short $(RACY)"; \
		{ $(RACE) -timeout 30m $(RACY) 2>&1 | tee $(OUT)/race.log; } && exit 0; \
		grep -q "ThreadSanitizer: CHECK failed" $(OUT)/race.log && ! grep -qE "DATA RACE|--- FAIL|panic:" $(OUT)/race.log || exit 1; \
	done; exit 1

# bench prints medians of three runs, and the ratios that mean something within one run.
bench:
	$(GO) test -run '^$$' -bench . -benchmem -count 3 ./... | $(GO) run .ci/benchreport.go

lint:
	@said=$$(gofmt -l cmd usbhid ykslot provision keyfile validate hwtest .ci); [ -z "$$said" ] || { echo "gofmt: $$said" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	$(GO) test -run '^TestHouse' ./cmd/tokendesk

# fuzz finds every target by itself: package, then function. Two at a time, each with one worker. On a busy machine the worker is sometimes
# late for the end of its time, which go test calls a failure without an input: it is none.
fuzz:
	@mkdir -p $(OUT)
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's,/[^/]*:func , ,' | xargs -P 2 -n 2 bash -c \
		'echo "fuzz $$1 ($$0) $(FUZZTIME)"; \
		$(GO) test -run "^$$" -fuzz "^$$1\$$" -parallel 1 -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$0 >$(OUT)/$$1.$$$$.log 2>&1 </dev/null \
			|| { grep -q "context deadline exceeded" $(OUT)/$$1.$$$$.log && ! grep -q "Failing input" $(OUT)/$$1.$$$$.log; } \
			|| { cat $(OUT)/$$1.$$$$.log; exit 255; }; rm $(OUT)/$$1.$$$$.log'

# soak runs what is too long for every day: 3000 kills of a server under load, ten minutes of fire, 200 random option sets beside each of
# Debian's programs in the guest, and two minutes for each decoder.
soak: export TOKENDESK_KILLS  = 3000
soak: export TOKENDESK_CHAOS  = 10m
soak: export TOKENDESK_SETS   = 200
soak: export TOKENDESK_GUEST  = 1
soak: export TOKENDESK_JUDGES = 1
soak: guest
	$(GO) test -count 1 -timeout 60m -run 'Kill|OneOf|Unplug|UnderFire|TestGuest' ./validate/... ./provision ./cmd/tokendesk
	$(MAKE) fuzz FUZZTIME=2m

# test-hw SERIAL=12345678 runs the suite on a real key whose two slots may be wiped; hardware-report.json can be sent in.
test-hw:
	@[ -n "$(SERIAL)" ] || { echo "usage: make test-hw SERIAL=number of a key that may be wiped" >&2; exit 2; }
	TOKENDESK_HW_SERIAL=$(SERIAL) TOKENDESK_HW_REPORT=$(CURDIR)/hardware-report.json CGO_ENABLED=$(CGO) \
		$(GO) test -count 1 -v -timeout 60m -tags '$(TAGS)' -run '^TestHardware$$' ./hwtest/suite

# man writes the man pages, package also the deb and the rpm, for this machine's kind of processor, without C. Two builds of one
# version give the same bytes. The version is the newest tag's, with what came after it: 1.2.0+3.gabcdef0.
man package: VERSION           ?= $(or $(shell git describe --tags --match 'v[0-9]*' 2>/dev/null | sed 's/^v//; s/-/+/; s/-/./'),0.0.0+g$(shell git rev-parse --short HEAD 2>/dev/null))
man package: SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),1767225600)
man package:
	GO=$(GO) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) cmd/tokendesk/package/build.sh $@ $(OUT)/package $(VERSION)

clean:
	rm -rf $(OUT)
