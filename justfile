# The scripts of .ci under short names: `just` lists them. Nothing here does more than its command says.

# this list
default:
    @just --list --unsorted

# what decides whether a change lands
ci:
    .ci/run

# the README's demo, checked
demo:
    .ci/fresh_demo

# tests of one package, or of one name in it: just test score grade
test package *filter:
    cargo test --release -p {{ if package == "loadgen" { "loadgen-rs" } else { "ossmark-" + package } }} {{ filter }}

# format, then the lints that .ci/run takes for errors
lint:
    cargo fmt --all
    cargo clippy --release --workspace --all-targets -- -D warnings

# take over changed help texts and prints, after reading the diff (CONTRIBUTING.md)
accept:
    INSTA_UPDATE=always cargo test --release -p ossmark --bin ossmark help
    INSTA_UPDATE=always cargo test --release -p ossmark --test integration prints
    git diff --stat -- tests/snapshots

# circles of files and rooms
circles *options:
    .ci/circles {{ options }}

# licences, bans and sources of the dependencies; `just deny advisories` needs the network
deny *checks:
    .ci/deny {{ checks }}

# the kernels under nvcc and NVRTC, without a GPU
kernels:
    .ci/kernels

# files for machines without Rust
dist *options:
    .ci/dist {{ options }}

# the kernels' layouts against CUTLASS's own, without a GPU
cutlass:
    .ci/cutlass

# on a machine with a GPU, or for one: pack, first, second, rehearse, check, time, offline, all, keep
gpu step *options:
    .ci/gpu {{ step }} {{ options }}

# the package loadgen-rs by itself; --write takes its public interface over
loadgen *options:
    .ci/loadgen {{ options }}

# what the binding to LoadGen costs, beside C++ and Python
squeeze *options:
    .ci/squeeze {{ options }}

# the binding's contract tests under a sanitizer: address, thread or valgrind
sanitize *options:
    .ci/sanitize {{ options }}
