# All that is asked of a commit
check: fmt lint test

fmt:
    cargo fmt --all --check

lint:
    cargo clippy --release --workspace --all-targets -- -D warnings

test:
    cargo test --release --workspace

# What pages and snapshots are made of
update:
    LIMEN_UPDATE=1 cargo test --release -p api -p index-tools

demo:
    cargo run --release --bin limen -- demo
