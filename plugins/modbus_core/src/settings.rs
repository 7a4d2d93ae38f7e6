//! Settings, as they are written. What belongs together is checked in [`crate::map`].

use std::collections::BTreeMap;

use flux_plugin_sdk::{Json, settings};

use crate::table::{AddressBase, Table};

settings! {
    /// What a register holds.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Type {
        /// A coil, a discrete input, one bit of a register (`bit`), or a register that is not 0.
        Bool = "bool",
        /// `length` bits from `bit` on as a number; of coils, the first is the lowest.
        Bits = "bits",
        /// One register, unsigned.
        U16 = "u16",
        /// One register, two's complement.
        I16 = "i16",
        /// Two registers, unsigned.
        U32 = "u32",
        /// Two registers, two's complement.
        I32 = "i32",
        /// Four registers, unsigned; from 2^63 on it becomes a number with a fraction.
        U64 = "u64",
        /// Four registers, two's complement.
        I64 = "i64",
        /// Two registers, IEEE 754 single precision.
        F32 = "f32",
        /// Four registers, IEEE 754 double precision.
        F64 = "f64",
        /// `length` bytes of text, two in a register; what follows a zero byte is left out.
        String = "string",
        /// One register with four decimal digits.
        Bcd16 = "bcd16",
        /// Two registers with eight decimal digits.
        Bcd32 = "bcd32",
        /// Two registers: seconds since 1970-01-01T00:00:00Z, which become a time.
        Epoch32 = "epoch32",
    }
}

settings! {
    /// Which of two comes first.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Order {
        /// The more significant.
        Big = "big",
        /// The less significant.
        Little = "little",
    }
}

settings! {
    /// One value in a device's tables.
    #[derive(Debug, Clone)]
    pub struct RegisterEntry {
        /// What the value is called.
        name: String,
        /// Where it stands; `holding` if left out, or what an address of the 40001 style says.
        table: Option<Table>,
        /// Its place, or the first of its places; counted as `address_base` says.
        address: u32,
        /// What it holds; `bool` of coils and discrete inputs, `u16` of registers if left out.
        r#type: Option<Type>,
        /// Which register of a value of several comes first; as for all if left out.
        words: Option<Order>,
        /// Which byte of a register comes first; as for all if left out.
        bytes: Option<Order>,
        /// Of `bool` and `bits`: which bit of the register, 0 (lowest) to 15.
        bit: Option<u8>,
        /// Of `string`: bytes. Of `bits`: bits.
        length: Option<u16>,
        /// What is read is multiplied with it: 0.1 makes 2304 read as 230.4.
        scale: Option<f64>,
        /// Added after that.
        offset: Option<f64>,
        /// The unit of measurement, for people; it is not sent with values.
        unit_text: Option<String>,
        /// What whole numbers mean, such as `{"0": "off", "1": "on"}`; others stay numbers.
        r#enum: Option<BTreeMap<String, String>>,
        /// What a unit sends for "no value": such a value is left out. Before scaling; of whole
        /// numbers, also the bits without sign.
        null: Option<Json>,
        /// The group a `read` may name.
        group: Option<String>,
        /// The units that have it; all if left out.
        units: Option<Vec<u8>>,
    }
}

settings! {
    /// What a frame means that nobody asked for.
    #[derive(Debug, Clone)]
    pub struct UnsolicitedEntry {
        /// The unit it comes from; any that is known if left out.
        unit: Option<u8>,
        /// Its function: 1 to 4 for a reply to a read that the device made up itself; 5, 6, 15,
        /// 16 for values it writes.
        function: u8,
        /// Of functions 1 to 4: where what it brings begins.
        address: Option<u32>,
        /// Of functions 1 to 4: how many registers or bits it brings; any number if left out.
        count: Option<u16>,
    }
}

settings! {
    /// What is done with places no register of the settings describes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Unmapped {
        /// They are left out.
        Skip = "skip",
        /// Each becomes a value such as `holding_107`.
        Raw = "raw",
    }
}

settings! {
    /// How units are asked, and what their registers mean.
    #[derive(Debug)]
    pub struct Settings {
        /// The unit that commands go to; its values are the source's own device's. 1 if neither it
        /// nor `devices` is given.
        unit: Option<u8>,
        /// Keys of the devices behind other units, by unit.
        devices: BTreeMap<String, String> = BTreeMap::new(),
        /// What the registers mean.
        registers: Vec<RegisterEntry> = Vec::new(),
        /// How addresses are written: 0 or 1 for the first place, or "modicon" for 40001.
        address_base: AddressBase = AddressBase::Zero,
        /// Which register of a value of several comes first.
        words: Order = Order::Big,
        /// Which byte of a register comes first; in frames of the standard, the more significant.
        bytes: Order = Order::Big,
        /// Places between two values that may be read along to save a request. Many units answer with
        /// an exception where there are none.
        gap_max: u16 = 0,
        /// Registers one request may read; the standard's most is 125.
        registers_max: u8 = 125,
        /// Coils or discrete inputs one request may read; the standard's most is 2000.
        bits_max: u16 = 2000,
        /// Whether one coil or register is written with functions 5 and 6; otherwise with 15
        /// and 16.
        single_writes: bool = true,
        /// What is done with places no register describes; `raw` if no register is given.
        unmapped: Option<Unmapped>,
        /// Whether an exception also becomes values: `exception_function`, `exception_code`,
        /// `exception`.
        exception_values: bool = false,
        /// What frames mean that nobody asked for.
        unsolicited: Vec<UnsolicitedEntry> = Vec::new(),
    }
}
