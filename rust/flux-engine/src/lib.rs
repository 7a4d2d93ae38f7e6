//! Composition root of the data plane: start, reconfigure, stop
