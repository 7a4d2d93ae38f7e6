//! The journey of a message: shards, decode, rules, firings, instant actions, outbox
