//! Every limit of the device protocols, by name.

/// Heartbeats of a product.
pub const HEARTBEATS_MAX: usize = 8;
/// Requests in a product's poll plan.
pub const POLLS_MAX: usize = 64;
/// Bytes of a poll's or a command's name.
pub const COMMAND_NAME_BYTES_MAX: usize = 128;
/// How often a request may be sent again.
pub const RETRIES_MAX: u64 = 10;
/// How long an answer may take, ms.
pub const TIMEOUT_MS_RANGE: (u64, u64) = (10, 60_000);
/// The longest pause between an answer and the next request, ms.
pub const GAP_MS_MAX: u64 = 10_000;
/// How often something may be polled, ms.
pub const EVERY_MS_RANGE: (u64, u64) = (50, 86_400_000);
/// How long a connection or a device may be silent, ms.
pub const IDLE_TIMEOUT_MS_RANGE: (u64, u64) = (1_000, 7 * 86_400_000);
/// Requests under way at once on a line that is not half-duplex.
pub const IN_FLIGHT_RANGE: (u64, u64) = (1, 64);
/// Heads of a listener.
pub const HEADS_MAX: usize = 64;
/// Networks of a listener's allow-list.
pub const NETWORKS_MAX: usize = 256;
/// Bytes of the word that names a device.
pub const WORD_BYTES_MAX: usize = 128;
/// Commands that wait for one line.
pub const LINE_QUEUE_LEN_MAX: usize = 64;
/// Bytes of one frame that is sent.
pub const SENT_FRAME_BYTES_MAX: usize = 64 << 10;
/// Frames of one command.
pub const COMMAND_FRAMES_MAX: usize = 64;
