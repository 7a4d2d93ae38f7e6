//! Words every crate shares: ids, topics, qualities of service, values, messages, error kinds
