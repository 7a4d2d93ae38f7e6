//! Putting inputs into a guest's memory, and taking the room back.
//!
//! Owns two buffers that the guest's `alloc` gave and that are used again from call to call. Settings,
//! which may be large and seldom change, are written once and stay at the beginning of theirs.

use flux_plugin_abi::Context;

use super::blueprint::typed;
use super::{Blueprint, Instance};
use crate::interface::{Abi, Function};
use crate::{Limits, PluginError};

/// Room asked of `alloc` at least, so that small inputs of differing sizes share one buffer.
const BUFFER_BYTES_MIN: usize = 512;

/// What is handed to a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'i> {
    One(&'i [u8]),
    /// Laid out as `decode_batch` wants it.
    Batch(&'i [&'i [u8]]),
}

impl Input<'_> {
    fn len(&self) -> usize {
        match self {
            Self::One(bytes) => bytes.len(),
            Self::Batch(inputs) => 4 + inputs.iter().map(|input| 4 + input.len()).sum::<usize>(),
        }
    }

    /// Writes exactly [`Input::len`] bytes, which are below 2^32: `input_bytes_max` is checked.
    fn write(&self, mut room: &mut [u8]) {
        match self {
            Self::One(bytes) => put(&mut room, bytes),
            Self::Batch(inputs) => {
                put(&mut room, &len32(inputs.len()));
                for input in *inputs {
                    put(&mut room, &len32(input.len()));
                    put(&mut room, input);
                }
            }
        }
    }
}

#[inline]
fn put(room: &mut &mut [u8], bytes: &[u8]) {
    if let Some((place, rest)) = std::mem::take(room).split_at_mut_checked(bytes.len()) {
        place.copy_from_slice(bytes);
        *room = rest;
    }
}

fn len32(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}

/// A piece of the guest's memory that its `alloc` gave us.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Buffer {
    ptr: u32,
    capacity: usize,
}

impl Buffer {
    pub(super) fn overlaps(&self, start: usize, end: usize) -> bool {
        let own = self.ptr as usize;
        start < own + self.capacity && own < end
    }
}

/// Bytes of the settings that stand at the beginning of the context buffer, and whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeptSettings {
    id: u64,
    json_len: usize,
    bytes: usize,
}

impl KeptSettings {
    #[inline]
    fn of(context: &Context<'_>) -> Self {
        let (id, json_len) = (context.settings.id, context.settings.json.as_bytes().len());
        Self { id, json_len, bytes: context.settings_len() }
    }
}

impl Instance {
    /// Puts context and input into the guest's memory; their addresses and lengths.
    #[inline]
    pub(super) fn place(
        &mut self,
        blueprint: &Blueprint,
        limits: &Limits,
        context: &Context<'_>,
        input: Input<'_>,
    ) -> Result<(u32, usize, u32, usize), PluginError> {
        let input_len = within("input", input.len(), "input_bytes_max", limits.input_bytes_max)?;
        let settings = KeptSettings::of(context);
        let context_len = match blueprint.interface.abi {
            Abi::V1 => settings.bytes + context.call_len(),
            Abi::V0 => 0,
        };
        within("context", context_len, "context_bytes_max", limits.context_bytes_max)?;
        if context_len > self.context.capacity {
            self.settings = None;
            self.context = self.renew(blueprint, limits, self.context, context_len)?;
        }
        if input_len > self.input.capacity || self.input.capacity == 0 {
            self.input = self.renew(blueprint, limits, self.input, input_len)?;
        }
        let memory = self.memory.data_mut(&mut self.store);
        if let Some((place, rest)) =
            piece(memory, self.context, context_len)?.split_at_mut_checked(settings.bytes)
        {
            if self.settings != Some(settings) {
                context.fill_settings(place);
                self.settings = Some(settings);
            }
            context.fill_call(rest);
        }
        input.write(piece(memory, self.input, input_len)?);
        Ok((self.context.ptr, context_len, self.input.ptr, input_len))
    }

    /// A buffer of at least `len` bytes in place of `old`.
    #[cold]
    fn renew(
        &mut self,
        blueprint: &Blueprint,
        limits: &Limits,
        old: Buffer,
        len: usize,
    ) -> Result<Buffer, PluginError> {
        if old.capacity > 0 {
            self.give_back_buffer(blueprint, limits, old)?;
        }
        let capacity = len.max(BUFFER_BYTES_MIN).next_power_of_two();
        let alloc = self.alloc.clone();
        let asked = i32::try_from(capacity).map_err(|_| PluginError::Memory { len: capacity })?;
        let ptr = self
            .run(Function::Alloc, limits.deadline_ms, |store| alloc.call(store, asked))?
            .cast_unsigned();
        if ptr == 0 {
            return Err(PluginError::Memory { len: capacity });
        }
        let memory = self.memory.data_size(&self.store);
        if (ptr as usize).saturating_add(capacity) > memory {
            let len = asked.cast_unsigned();
            return Err(PluginError::Pointer { what: "what alloc returned", ptr, len, memory });
        }
        Ok(Buffer { ptr, capacity })
    }

    pub(super) fn give_back(
        &mut self,
        blueprint: &Blueprint,
        limits: &Limits,
        ptr: u32,
        len: u32,
    ) -> Result<(), PluginError> {
        if self.fleeting {
            return Ok(());
        }
        let dealloc = match &self.dealloc {
            Some(dealloc) => dealloc.clone(),
            None => {
                let export = &blueprint.dealloc;
                let dealloc = typed(&mut self.store, &self.instance, export, Function::Dealloc)?;
                self.dealloc.insert(dealloc).clone()
            }
        };
        let params = (ptr.cast_signed(), len.cast_signed());
        self.run(Function::Dealloc, limits.deadline_ms, |store| dealloc.call(store, params))
    }

    /// Gives back buffers that one large input made, so that they do not stay.
    #[inline]
    pub(super) fn release_large(
        &mut self,
        blueprint: &Blueprint,
        limits: &Limits,
    ) -> Result<(), PluginError> {
        let kept_max = limits.buffer_kept_bytes_max;
        if self.context.capacity <= kept_max && self.input.capacity <= kept_max {
            return Ok(());
        }
        if self.input.capacity > kept_max {
            let buffer = std::mem::take(&mut self.input);
            self.give_back_buffer(blueprint, limits, buffer)?;
        }
        if self.context.capacity > kept_max {
            let buffer = std::mem::take(&mut self.context);
            self.settings = None;
            self.give_back_buffer(blueprint, limits, buffer)?;
        }
        Ok(())
    }

    fn give_back_buffer(
        &mut self,
        blueprint: &Blueprint,
        limits: &Limits,
        buffer: Buffer,
    ) -> Result<(), PluginError> {
        let capacity = u32::try_from(buffer.capacity).unwrap_or(u32::MAX);
        self.give_back(blueprint, limits, buffer.ptr, capacity)
    }
}

/// The beginning of a buffer. The memory may have been replaced since it was checked.
#[inline]
fn piece(memory: &mut [u8], buffer: Buffer, len: usize) -> Result<&mut [u8], PluginError> {
    let (start, size) = (buffer.ptr as usize, memory.len());
    memory.get_mut(start..start.saturating_add(len)).ok_or_else(|| PluginError::Pointer {
        what: "an input buffer",
        ptr: buffer.ptr,
        len: u32::try_from(len).unwrap_or(u32::MAX),
        memory: size,
    })
}

#[inline]
fn within(
    what: &'static str,
    len: usize,
    limit: &'static str,
    max: usize,
) -> Result<usize, PluginError> {
    if len > max { Err(PluginError::Input { what, len, limit, max }) } else { Ok(len) }
}

/// A number as WebAssembly takes it.
#[inline]
pub(super) fn word(number: impl TryInto<u32>) -> i32 {
    // lengths and addresses are checked to be below 2^32 where they come from
    number.try_into().unwrap_or(u32::MAX).cast_signed()
}
