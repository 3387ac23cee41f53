#!/usr/bin/env bash
# ./do VERB: the one entry to building, testing and running fmesh. `./do help` lists the verbs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"
export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1
jobs=$(nproc)

usage() {
  cat <<'TEXT'
./do run [ARGS]      build, then run the example mesh examples/orders (live in a terminal, until drained elsewhere)
./do build [TARGET]  build the program at build/fmesh and the examples, or a target such as all
./do test            build, then run the fast suite
./do test --sim      the operator under 10,000 seeds and every mutation of its resources; takes minutes
./do test --asan     the unit tests of rooms with parsers, threads and memory of their own under ASan and UBSan
./do test --tsan     the unit tests of rooms with threads under TSan
./do check           format, lint, include rule and tidy test; changes nothing
./do bench [ROW...]  run the benchmarks and write bench/results.md
./do fuzz [SECONDS]  run every fuzzer for so long (default 10)
./do sim [SECONDS]   run both simulators, meshes and operator, over new seeds for so long (default 30)
./do e2e [--all]     tests of whole meshes; --all adds those too long for CI
./do testbed kube up|down|status|env   a real Kubernetes on this machine (testbed/README.md)
./do testbed pulsar up|down|status|env a real Pulsar broker on this machine (testbed/pulsar/README.md)
./do package         build a .deb in build/
./do ci              what CI runs
TEXT
}

say() { printf '\n== %s\n' "$*"; }
fail() { printf './do: %s\n' "$*" >&2; exit 1; }

# Prints the packages of the given groups of packages.txt.
packages_of() {
  awk -v wanted=" $* " '/^#/ || !NF {next} /^\[/ {gsub(/[][]/, ""); on = index(wanted, " " $1 " "); next} on {print $1}' packages.txt
}

# Installs what is missing of the given groups; touches neither apt nor the network if nothing is.
need() {
  command -v dpkg-query >/dev/null || fail "this is not a Debian system; install the packages of packages.txt by hand"
  local missing=() package
  for package in $(packages_of "$@"); do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "packages are missing; as root, run:
  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# configure PRESET [-D...]: only if it never was, or if options are given.
configure() {
  local preset=$1 directory=build
  shift
  [ "$preset" = default ] || directory=build-$preset
  if [ ! -f "$directory/build.ninja" ] || [ $# -gt 0 ]; then cmake --preset "$preset" "$@"; fi
}

build() {
  need build test
  configure default
  ninja -C build -j "$jobs" "$@"
}

# Says how many test cases the last ctest run of a build directory ran; ctest itself counts programs.
count_cases() {
  awk '/^\[==========\] [0-9]+ tests? from .* ran/ {n += $2} /^Ran [0-9]+ tests? in/ {n += $2} END {printf "%d test cases ran\n", n}' \
    "$1/Testing/Temporary/LastTest.log"
}

# run_ctest DIRECTORY ARGS: failures are shown in full, successes in one line each.
run_ctest() {
  local directory=$1 code=0
  shift
  ctest --test-dir "$directory" --output-on-failure -j "$jobs" --no-tests=error "$@" || code=$?
  count_cases "$directory"
  return $code
}

# The rooms whose unit tests are run under a sanitizer; the rest would cost build time and find nothing there.
asan_rooms="base net model plan stream stream_log runtime connect local observe rooms sim"
tsan_rooms="base net stream_log runtime connect local observe rooms"

test_sanitized() {
  local preset=$1 rooms=$2 targets="" names="" room
  need build test
  configure "$preset"
  for room in $rooms; do
    if ninja -C "build-$preset" -t query "${room}_test" >/dev/null 2>&1; then
      targets+=" ${room}_test"
      names+="${names:+|}$room"
    fi
  done
  # shellcheck disable=SC2086 # a list of words
  ninja -C "build-$preset" -j "$jobs" $targets
  # The operator's simulation and the properties of rendered objects take minutes under a sanitizer.
  GTEST_FILTER='-*OperatorSim*:*ResourceMutator*:ObjectsProperty.*' ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 TSAN_OPTIONS=halt_on_error=1 \
    run_ctest "build-$preset" -L fast -R "^($names)\$"
}

verb_run() {
  build fmesh examples
  local arguments=(--data-dir build/orders-data)
  [ -t 1 ] || arguments+=(--until-drained)
  exec build/fmesh run build/examples/orders/mesh.yaml "${arguments[@]}" "$@"
}

verb_build() {
  [ $# -gt 0 ] || set -- fmesh examples
  build "$@"
}

verb_test() {
  case ${1:-} in
    "") build && run_ctest build -L fast ;;
    --sim) build sim_test && run_ctest build -L '^sim$' ;;
    --asan) test_sanitized asan "$asan_rooms" ;;
    --tsan) test_sanitized tsan "$tsan_rooms" ;;
    *) fail "test: found '$1', expected --sim, --asan, --tsan or nothing" ;;
  esac
}

verb_check() {
  need build test check
  configure default
  say "clang-format"
  git ls-files -z '*.cc' '*.h' '*.c' | xargs -0 -r -n 64 clang-format-19 --dry-run --Werror
  say "include rule"
  python3 tools/check_includes.py
  say "defects of upstream"
  python3 tools/check_defects.py
  say "tidy"
  python3 tools/tidy.py
  say "clang-tidy"
  python3 tools/lint.py --build build --jobs "$jobs" "$@"
}

verb_bench() {
  need build test
  configure default -DFMESH_BENCH=ON
  ninja -C build -j "$jobs"
  exec python3 bench/run.py "$@"
}

verb_fuzz() {
  need build test check
  configure fuzz
  ninja -C build-fuzz -j "$jobs" fuzzers
  local seconds=${1:-10} program name
  for program in build-fuzz/fuzz/*; do
    name=${program##*/}
    say "$name, ${seconds} s"
    mkdir -p "build-fuzz/corpus/$name"
    local seeds=()
    [ -d "tests/fuzz/seeds/$name" ] && seeds=("tests/fuzz/seeds/$name")
    "$program" -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -print_final_stats=0 -verbosity=0 \
      -artifact_prefix="build-fuzz/$name-" "build-fuzz/corpus/$name" "${seeds[@]}" ||
      fail "$name failed; replay: $program build-fuzz/$name-<crash file above>"
  done
}

verb_sim() {
  build sim_test
  export FMESH_SIM_SECONDS=${1:-30}
  local code=0
  build/sim_test --gtest_filter='OperatorSim.Faults*' &
  build/sim_test --gtest_filter='Mesh.Keeps*' || code=1
  wait $! || code=1
  return $code
}

# prepare WHAT COMMAND...: fetches or compiles a part of the test bed before the tests that use it, which are skipped where that can't be.
prepare() {
  local what=$1 code=0
  shift
  "$@" >/dev/null || code=$?
  [ $code -eq 0 ] || [ $code -eq 77 ] || return $code
  [ $code -eq 0 ] || say "tests on a real $what will be skipped"
}

verb_e2e() {
  need build test testbed pulsar
  [ "$(id -u)" -ne 0 ] || need pods # a node needs root; its tests are skipped without
  prepare Kubernetes testbed/kube/kube build
  prepare Pulsar testbed/pulsar/pulsar nar data-generator http
  case ${1:-} in
    "") build && run_ctest build -L '^e2e$' ;;
    --all)
      need cdc
      prepare Pulsar testbed/pulsar/pulsar nar debezium-postgres elastic-search
      prepare OpenSearch testbed/opensearch/opensearch fetch
      build && run_ctest build -L 'e2e'
      ;;
    *) fail "e2e: found '$1', expected --all or nothing" ;;
  esac
}

verb_testbed() {
  [ $# -gt 0 ] && [ -x "testbed/$1/$1" ] || fail "testbed: found '${1:-}', expected one of: $(cd testbed && echo */ | tr -d /)"
  local name=$1
  shift
  case " $* " in
    " up "* | " fetch "*) [ "$name" != pulsar ] || need testbed pulsar ;;&
    *" --pods "*) need testbed pods ;;
    *" up "* | *" build "*) need testbed ;;
  esac
  exec "testbed/$name/$name" "$@"
}

verb_package() {
  need package
  build fmesh
  (cd build && cpack -G DEB)
}

verb=${1:-help}
[ $# -gt 0 ] && shift
case $verb in
  run | build | test | check | bench | fuzz | sim | e2e | testbed | package) "verb_$verb" "$@" ;;
  ci) exec .ci/run ;;
  help | --help | -h) usage ;;
  *)
    usage >&2
    fail "found verb '$verb', expected one of those above"
    ;;
esac
