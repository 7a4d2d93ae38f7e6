//! Rules in Rhai: compile cache, index, limits, trace
