//! The macros that make a handler a module.

/// Makes a handler a plugin: exports what ABI v1 asks for (`abi_version`, `alloc`, `dealloc`,
/// `decode`, `decode_batch`, `describe`).
///
/// What else the handler does is named behind it, so that the host knows from the module alone
/// what a plugin can be used for:
///
/// ```
/// use flux_plugin_sdk::{
///     Command, Context, Message, Output, PluginError, PluginHandler, StandardMessage, export_plugin,
/// };
///
/// struct Relay;
///
/// impl PluginHandler for Relay {
///     fn on_decode(raw: &[u8]) -> StandardMessage {
///         StandardMessage {
///             device_id: String::new(),
///             values: raw.iter().map(|on| ("on".to_owned(), f64::from(*on))).collect(),
///         }
///     }
///
///     fn encode(
///         _: &Context<'_>,
///         command: &Command<'_>,
///         out: &mut Output<'_>,
///     ) -> Result<(), PluginError> {
///         match command.name {
///             "switch" => out.frame(&[u8::from(command.param::<bool>("on")?)]),
///             _ => return Err(command.unknown()),
///         }
///         Ok(())
///     }
/// }
///
/// export_plugin!(Relay, encode);
/// # fn main() {}
/// ```
///
/// The words are `encode`, `on_msg` and `on_action`. It includes
/// [`export_plugin_alloc!`](crate::export_plugin_alloc): a module takes one or the other. Built for
/// anything but WebAssembly it exports nothing, so that tests can be linked.
#[macro_export]
macro_rules! export_plugin {
    ($handler:ty $(, $function:ident)* $(,)?) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            $crate::export_plugin_alloc!();

            #[unsafe(no_mangle)]
            extern "C" fn abi_version() -> i32 {
                $crate::guest::ABI_VERSION
            }

            #[unsafe(no_mangle)]
            extern "C" fn describe(_: i32, _: i32, _: i32, _: i32) -> i64 {
                $crate::guest::describe::<$handler>(
                    env!("CARGO_PKG_NAME"),
                    env!("CARGO_PKG_VERSION"),
                    env!("CARGO_PKG_DESCRIPTION"),
                )
            }

            $crate::__export_function!($handler, decode);
            $crate::__export_function!($handler, decode_batch);
            $($crate::__export_function!($handler, $function);)*
        };

        // The same is checked on every machine: that it is a handler, and that the words are known.
        #[cfg(not(target_family = "wasm"))]
        const _: &[$crate::guest::Function] = &[
            $crate::guest::decode::<$handler>,
            $($crate::guest::$function::<$handler>,)*
        ];
    };
}

/// One export that takes a context and an input.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_function {
    ($handler:ty, $function:ident) => {
        const _: () = {
            /// # Safety
            /// The host passes regions it has written to, and leaves them alone during the call.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $function(
                ctx_ptr: *const u8,
                ctx_len: usize,
                ptr: *const u8,
                len: usize,
            ) -> i64 {
                let function = $crate::guest::$function::<$handler>;
                // SAFETY: what the host passes, as above.
                unsafe { $crate::guest::call(function, ctx_ptr, ctx_len, ptr, len) }
            }
        };
    };
}

/// Exports `alloc` and `dealloc` alone, for a module whose other exports are written by hand: one of
/// ABI 0, for example, which answers 1 for a message that is in order and 0 for one that is not.
///
/// ```
/// use flux_plugin_sdk::{export_plugin_alloc, read_string_from_host, warn};
///
/// export_plugin_alloc!();
///
/// /// # Safety
/// /// Called by the host, with text it has put into memory.
/// #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
/// pub unsafe extern "C" fn on_msg(ptr: i32, len: i32) -> i32 {
///     // SAFETY: as above.
///     let text = unsafe { read_string_from_host(ptr, len) };
///     if text.is_empty() {
///         warn!("an empty message");
///     }
///     i32::from(!text.is_empty())
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_plugin_alloc {
    () => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn alloc(len: usize) -> *mut u8 {
                $crate::guest::alloc(len)
            }

            /// # Safety
            /// The host gives back what `alloc` gave it, once.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn dealloc(ptr: *mut u8, len: usize) {
                // SAFETY: what the host passes, as above.
                unsafe { $crate::guest::dealloc(ptr, len) }
            }
        };
    };
}
