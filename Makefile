# make demo   the main job from end to end, on a small model
# make test   everything that must hold
# make bin/tare, make cross, make fmt, make clean

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS  = -s -w -X github.com/tareml/tare/cmd.version=$(VERSION)

.PHONY: build demo test vet staticcheck cross fmt clean

build: bin/tare

bin/tare: FORCE
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ .

demo: bin/tare
	@$(GO) run ./internal/demo bin/tare testdata/model

test: vet staticcheck
	$(GO) test -race ./...

vet:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...

staticcheck:
	$(GO) -C tools build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...

# what the platform files of this list compile to is never run here
cross:
	@for target in linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do \
		echo "$$target"; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) vet ./... || exit 1; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null . || exit 1; \
	done

fmt:
	gofmt -w $$(git ls-files '*.go')

clean:
	rm -rf bin

FORCE:
