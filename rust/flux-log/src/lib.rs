//! The write-ahead log: append, group commit, snapshots, cursors, retention
