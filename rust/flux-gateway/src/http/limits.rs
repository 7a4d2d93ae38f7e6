//! What one HTTP connection may ask of us.

/// Every limit of HTTP, by name. Times are milliseconds, sizes bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Request line and header fields together. Default 16 KiB.
    pub head_bytes_max: usize,
    /// A request's content, chunks taken together. Default 1 MiB.
    pub body_bytes_max: usize,
    /// Requests of one connection not yet answered. Default 32.
    pub pipeline_len_max: usize,
    /// From a request's first byte to the end of its head. Default 10 000.
    pub head_timeout_ms: u64,
    /// From the end of its head to the end of its content. Default 30 000.
    pub body_timeout_ms: u64,
    /// Between two requests. Default 75 000.
    pub keep_alive_timeout_ms: u64,
    /// Content that is read and thrown away so that a connection can go on after a refusal. Default
    /// 64 KiB.
    pub discard_bytes_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 << 10,
            body_bytes_max: 1 << 20,
            pipeline_len_max: 32,
            head_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            keep_alive_timeout_ms: 75_000,
            discard_bytes_max: 64 << 10,
        }
    }
}
