# confab: the short way to everything.  `make help` lists the targets.
BUILD ?= build
TYPE  ?= Release
MODEL ?=
PORT  ?= 8080
ARGS  ?=
CMAKE  = cmake -G Ninja -DCMAKE_BUILD_TYPE=$(TYPE)

.PHONY: test-arm all setup setup-tests run test asan tsan fuzz fuzz-run bench format check clean help

all: setup
	@$(CMAKE) -S . -B $(BUILD) >/dev/null
	@cmake --build $(BUILD) --target confab

setup:
	@scripts/setup

setup-tests:
	@scripts/setup --tests

run: all
	@exec $(BUILD)/confab serve $(if $(MODEL),-m $(MODEL)) --port $(PORT) $(ARGS)

test: setup-tests
	@$(CMAKE) -S . -B $(BUILD) -DCONFAB_WERROR=ON >/dev/null
	@cmake --build $(BUILD)
	@ctest --test-dir $(BUILD) --output-on-failure
	@scripts/test-e2e $(BUILD)/confab

asan: setup-tests
	@CC=clang $(CMAKE) -S . -B $(BUILD)-asan -DCONFAB_SAN=address -DCONFAB_WERROR=ON >/dev/null
	@cmake --build $(BUILD)-asan
	@ctest --test-dir $(BUILD)-asan --output-on-failure

tsan: setup-tests
	@CC=clang $(CMAKE) -S . -B $(BUILD)-tsan -DCONFAB_SAN=thread -DCONFAB_WERROR=ON >/dev/null
	@cmake --build $(BUILD)-tsan
	@ctest --test-dir $(BUILD)-tsan --output-on-failure

test-arm:
	@scripts/test-arm $(BUILD)-arm

fuzz: setup-tests
	@CC=clang $(CMAKE) -S . -B $(BUILD)-fuzz -DCONFAB_FUZZ=ON -DCONFAB_WERROR=ON >/dev/null
	@cmake --build $(BUILD)-fuzz
	@scripts/fuzz $(BUILD)-fuzz

bench: all
	@scripts/bench $(BUILD) $(MODEL)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

check:
	@scripts/check-layers
	@scripts/check-format

clean:
	@rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz

help:
	@echo 'make             build $(BUILD)/confab (installs missing packages first)'
	@echo 'make run         build and serve; MODEL=file.gguf PORT=8080 ARGS="..."'
	@echo 'make test        unit tests, fuzz corpora, end-to-end tests'
	@echo 'make asan, tsan  unit tests under address+undefined, thread sanitizer'
	@echo 'make test-arm    the arithmetic for 64-bit Arm, under qemu'
	@echo 'make fuzz        run every fuzz target; TIME=seconds each (default 60)'
	@echo 'make bench       measure kernels and a model; MODEL=file.gguf'
	@echo 'make format      clang-format everything'
	@echo 'make check       room borders and format'
