//! Where the host's calls arrive.
//!
//! Owns memory handed to the host, the buffer results are written to, and the way from a raw call to
//! [`PluginHandler`]. Everything unsafe about a plugin is here and in `log`. Must never trust a
//! number that is not the host's.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};

pub use flux_plugin_abi::ABI_VERSION;
use flux_plugin_abi::{ALIGNMENT, Append, Buffer, MessageReader, Packed};

use crate::context::Context;
use crate::{Command, Frames, Json, Message, Output, PluginError, PluginHandler};

/// What a call does with its context and its input.
pub type Function = fn(&[u8], &[u8], &mut Output<'_>) -> Result<(), PluginError>;

/// `decode` of this handler.
///
/// # Errors
/// The plugin's own; so for all of them.
pub fn decode<H: PluginHandler>(
    ctx: &[u8],
    input: &[u8],
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    H::decode(&Context::read(ctx)?, input, out)
}

/// `decode_batch` of this handler.
///
/// # Errors
/// As [`decode`].
pub fn decode_batch<H: PluginHandler>(
    ctx: &[u8],
    input: &[u8],
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    H::decode_batch(&Context::read(ctx)?, Frames::read(input)?, out)
}

/// `encode` of this handler.
///
/// # Errors
/// As [`decode`].
pub fn encode<H: PluginHandler>(
    ctx: &[u8],
    input: &[u8],
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let input: Json = text(input)?.parse()?;
    let name = input.get("command").and_then(Json::as_str);
    let name = name.ok_or_else(|| PluginError::new("sdk.input", "/command: is missing"))?;
    let params = input.get("params").unwrap_or(&Json::Null);
    H::encode(&Context::read(ctx)?, &Command { name, params }, out)
}

/// `on_msg` of this handler.
///
/// # Errors
/// As [`decode`].
pub fn on_msg<H: PluginHandler>(
    ctx: &[u8],
    input: &[u8],
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    H::on_msg(&Context::read(ctx)?, message(input)?, out)
}

/// `on_action` of this handler.
///
/// # Errors
/// As [`decode`].
pub fn on_action<H: PluginHandler>(
    ctx: &[u8],
    input: &[u8],
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let ctx = Context::read(ctx)?;
    let firing = if ctx.subject().is_empty() { Json::Null } else { ctx.subject().parse()? };
    H::on_action(&ctx, message(input)?, &firing, out)
}

/// A message that stands alone; of no bytes where there is none.
fn message(input: &[u8]) -> Result<Message, PluginError> {
    if input.is_empty() {
        return Ok(Message::default());
    }
    Ok(Message::read(MessageReader::from_body(input)?)?)
}

fn text(bytes: &[u8]) -> Result<&str, PluginError> {
    std::str::from_utf8(bytes).map_err(|_| PluginError::new("sdk.input", "is not UTF-8"))
}

/// Runs a call and writes everything it says, its failure included.
pub fn run(function: Function, ctx: &[u8], input: &[u8], out: &mut Output<'_>) {
    if let Err(error) = function(ctx, input, out) {
        out.error(&error);
    }
    out.report_refused();
}

/// A buffer larger than this is given back after the call that needed it: one large answer shall
/// not weigh on every instance for ever.
const KEPT_BYTES_MAX: usize = 256 * 1024;

thread_local! {
    /// Where results are written. The host reads it before it calls again.
    static RESULT: RefCell<Buffer> = const { RefCell::new(Buffer::new()) };
    static PANICS_ARE_LOGGED: Cell<bool> = const { Cell::new(false) };
}

/// One call of the host's: the place of its output, as the ABI packs it.
///
/// # Safety
/// Both regions are readable and not written to until this returns.
pub unsafe fn call(
    function: Function,
    ctx_ptr: *const u8,
    ctx_len: usize,
    ptr: *const u8,
    len: usize,
) -> i64 {
    log_panics();
    // SAFETY: the caller says so.
    let (ctx, input) = unsafe { (region(ctx_ptr, ctx_len), region(ptr, len)) };
    with_result(|result| {
        let mut out = Output::new(result);
        run(function, ctx, input, &mut out);
        !out.is_empty()
    })
}

/// The JSON of `describe`.
#[must_use]
pub fn describe<H: PluginHandler>(name: &str, version: &str, about: &str) -> i64 {
    log_panics();
    let json = H::describe().or(name, version, about).to_json().to_string();
    with_result(|result| {
        result.truncate(0);
        result.append(json.as_bytes());
        true
    })
}

fn with_result(write: impl FnOnce(&mut Buffer) -> bool) -> i64 {
    RESULT.with_borrow_mut(|result| {
        if result.capacity() > KEPT_BYTES_MAX {
            *result = Buffer::new();
        }
        if write(result) { place(result.as_bytes()) } else { 0 }
    })
}

/// Where bytes lie that stay ours. Addresses beyond 2^31 do not fit, and are not reached: the host
/// grants a few megabytes.
#[allow(clippy::cast_possible_truncation)] // a sandbox has 32 bits
fn place(bytes: &[u8]) -> i64 {
    let (ptr, len) = (bytes.as_ptr() as usize as u32, bytes.len() as u32);
    Packed { ptr, len, borrowed: true }.pack().unwrap_or(0)
}

/// A panic ends the instance; what it says is logged first.
fn log_panics() {
    if !PANICS_ARE_LOGGED.replace(true) && cfg!(target_family = "wasm") {
        std::panic::set_hook(Box::new(|panic| crate::error!("{panic}")));
    }
}

/// Room for the host to write to, aligned to 8; null when there is none.
#[must_use]
pub fn alloc(len: usize) -> *mut u8 {
    match layout(len) {
        // SAFETY: the layout is not empty.
        Some(layout) => unsafe { std::alloc::alloc(layout) },
        None => std::ptr::null_mut(),
    }
}

/// Gives room back. Null is nothing.
///
/// # Safety
/// `ptr` came from [`alloc`] with this length, and was not given back yet.
pub unsafe fn dealloc(ptr: *mut u8, len: usize) {
    if let (false, Some(layout)) = (ptr.is_null(), layout(len)) {
        // SAFETY: the caller says so; `alloc` used the same layout.
        unsafe { std::alloc::dealloc(ptr, layout) }
    }
}

/// Of at least one byte: an empty input has an address as well.
fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len.max(1), ALIGNMENT).ok()
}

/// # Safety
/// The region is readable, and not written to for as long as the slice lives.
unsafe fn region<'a>(ptr: *const u8, len: usize) -> &'a [u8] {
    if ptr.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller says so.
    unsafe { std::slice::from_raw_parts(ptr, len) }
}

/// An address as hosts pass it: `i32` in a signature of ABI 0, a pointer elsewhere.
pub trait GuestAddress {
    /// As a pointer.
    fn pointer(self) -> *const u8;
}

impl GuestAddress for i32 {
    fn pointer(self) -> *const u8 {
        self as u32 as usize as *const u8
    }
}

impl GuestAddress for u32 {
    fn pointer(self) -> *const u8 {
        self as usize as *const u8
    }
}

impl GuestAddress for *const u8 {
    fn pointer(self) -> *const u8 {
        self
    }
}

impl GuestAddress for *mut u8 {
    fn pointer(self) -> *const u8 {
        self
    }
}

/// A length as hosts pass it. A negative one is none.
pub trait GuestLength {
    /// As a number of bytes.
    fn bytes(self) -> usize;
}

impl GuestLength for i32 {
    fn bytes(self) -> usize {
        self.try_into().unwrap_or(0)
    }
}

impl GuestLength for u32 {
    fn bytes(self) -> usize {
        self as usize
    }
}

impl GuestLength for usize {
    fn bytes(self) -> usize {
        self
    }
}

/// Text the host has put into memory, for exports that are written by hand, such as ABI 0's
/// `on_msg(ptr: i32, len: i32) -> i32`. What is not UTF-8 is replaced by `U+FFFD`.
///
/// # Safety
/// `len` bytes at `ptr` are readable and not written to until this returns: true of what the host
/// passes to an export.
///
/// ```
/// use flux_plugin_sdk::read_string_from_host;
///
/// let text = "21.5 °C";
/// // SAFETY: the text outlives the call.
/// let read = unsafe { read_string_from_host(text.as_ptr(), text.len()) };
/// assert_eq!(read, text);
/// ```
#[must_use]
pub unsafe fn read_string_from_host(ptr: impl GuestAddress, len: impl GuestLength) -> String {
    // SAFETY: the caller says so.
    let bytes = unsafe { region(ptr.pointer(), len.bytes()) };
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_aligned_and_given_back_whatever_its_length() {
        for len in [0, 1, 7, 8, 4096] {
            let ptr = alloc(len);
            assert!(!ptr.is_null());
            assert_eq!(ptr as usize % ALIGNMENT, 0);
            // SAFETY: it was just allocated with this length.
            unsafe { dealloc(ptr, len) };
        }
    }

    #[test]
    fn room_beyond_all_memory_is_refused() {
        assert!(alloc(usize::MAX).is_null());
        assert!(alloc(isize::MAX as usize).is_null());
    }

    #[test]
    fn nothing_is_read_from_null_or_of_no_length() {
        // SAFETY: nothing is read.
        unsafe {
            assert_eq!(read_string_from_host(0_i32, 5_i32), "");
            assert_eq!(read_string_from_host(8_i32, -1_i32), "");
            dealloc(std::ptr::null_mut(), 5);
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_read_with_replacements() {
        let bytes = b"a\xffb";
        // SAFETY: the bytes outlive the call.
        let read = unsafe { read_string_from_host(bytes.as_ptr(), bytes.len()) };
        assert_eq!(read, "a\u{fffd}b");
    }
}
