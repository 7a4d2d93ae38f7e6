//! Benchmarks of the data plane. Nothing lives here: see `src/bin/flux-load` and `benches`.
