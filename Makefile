# What there is to do: `make demo`, `make test`, `make check`, `make bench`,
# `make conformance`.

CARGO ?= cargo

.PHONY: all demo test check bench conformance screenshots

all: check test

# An echo backend, the gateway and a key on this machine.
demo:
	$(CARGO) run --release -- demo

# Every test. Installs what they need from Debian's packages where it is missing.
test:
	packaging/install-test-tools
	@if $(CARGO) nextest --version >/dev/null 2>&1; then set -x; $(CARGO) nextest run --locked; \
	else set -x; $(CARGO) test --locked --no-fail-fast; fi

# Form, lints, documentation, dependencies.
check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	@if $(CARGO) deny --version >/dev/null 2>&1; then set -x; $(CARGO) deny check bans licenses sources; \
	else echo "cargo-deny is not installed: licences, sources and banned crates were not checked (deny.toml)"; fi

# RFC 9113 by the letter; see docs/http2.md.
conformance:
	tests/rfc9113/run

# Measurements; see benches/run.
bench:
	benches/run

# Every page of the console, light and dark, narrow and wide, into docs/screenshots.
screenshots:
	packaging/install-test-tools
	$(CARGO) test --locked --test it -- --ignored every_page_is_photographed

# What needs minutes: attacks, overload, a million requests, the fuzz targets; see docs/hostile.md.
.PHONY: soak
soak:
	tests/soak
