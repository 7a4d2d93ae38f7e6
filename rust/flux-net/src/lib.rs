//! Listeners, timeouts, byte budgets and rate limits for every device protocol
