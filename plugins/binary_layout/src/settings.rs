//! What people write. What belongs together is checked in `compile`.

use std::collections::BTreeMap;

use flux_plugin_sdk::{Json, settings};

use crate::number::{Amount, ByNumber, HexBytes, Nested, Number, Numbers};

settings! {
    /// Which byte of a number comes first.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Endian {
        /// The most significant one.
        Big = "big",
        /// The least significant one.
        Little = "little",
    }
}

settings! {
    /// How bits are counted.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum BitOrder {
        /// From the most significant bit of a byte on: the first bit is the number's highest.
        Msb = "msb",
        /// From the least significant bit of a byte on: the first bit is the number's lowest.
        Lsb = "lsb",
    }
}

settings! {
    /// What a field is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum FieldType {
        U8 = "u8", U16 = "u16", U24 = "u24", U32 = "u32",
        U40 = "u40", U48 = "u48", U56 = "u56", U64 = "u64",
        I8 = "i8", I16 = "i16", I24 = "i24", I32 = "i32",
        I40 = "i40", I48 = "i48", I56 = "i56", I64 = "i64",
        /// Half, single and double precision (IEEE 754).
        F16 = "f16", F32 = "f32", F64 = "f64",
        /// Decimal digits, two in a byte.
        Bcd = "bcd",
        /// Text; what is behind a zero byte, and white space at its end, is left out.
        String = "string",
        /// Bytes, as hexadecimal text.
        Hex = "hex",
        /// Bytes.
        Bytes = "bytes",
        /// Some bits, also across bytes.
        Bits = "bits",
        /// One bit, or a byte that is not zero.
        Bool = "bool",
        /// A moment.
        Time = "time",
        /// Nothing: room between others.
        Pad = "pad",
        /// Fields that belong together; with a time, a message of their own.
        Group = "group",
        /// One of several lists of fields, by a number read before.
        Switch = "switch",
    }
}

settings! {
    /// How a moment is written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum TimeFormat {
        /// Seconds, in 4 to 8 bytes.
        EpochS = "epoch_s",
        /// Milliseconds, in 6 to 8 bytes.
        EpochMs = "epoch_ms",
        /// Decimal digits: YYMMDDhhmmss in 6 bytes, YYYYMMDDhhmmss in 7.
        Bcd = "bcd",
        /// Year less 2000, month, day, hour, minute, second, a byte each.
        Bytes = "bytes",
    }
}

settings! {
    /// When a field is there: a field before, or a byte, is one of some numbers.
    #[derive(Debug, Clone)]
    pub struct WhenSettings {
        /// The name of a field before.
        field: Option<String>,
        /// Which byte of the frame; negative: from its end.
        offset: Option<i64>,
        /// Only these bits are compared.
        mask: Option<Number>,
        /// The number, or several.
        equals: Numbers,
    }
}

settings! {
    /// How often a field is there.
    #[derive(Debug, Clone)]
    pub struct RepeatSettings {
        /// So often; as often as a field before says; to the end of the frame.
        count: Amount,
        /// Bytes from one to the next; left out: they follow one another.
        stride: Option<u32>,
        /// The number of the first one, in place of `{i}` in names.
        from: u32 = 1,
    }
}

settings! {
    /// Where and how a moment is written.
    #[derive(Debug, Clone)]
    pub struct TimeSettings {
        /// Where it is; negative: from the end of the frame.
        offset: i64,
        /// How it is written.
        format: TimeFormat = TimeFormat::EpochS,
        /// Bytes; left out: 4, 8, 6 and 6, in the order of the formats.
        length: Option<u32>,
        /// Which byte comes first, of epochs.
        endian: Option<Endian>,
        /// What is counted from, seconds since 1970.
        since_s: i64 = 0,
        /// How far the device's clock is ahead of UTC.
        utc_offset_min: i32 = 0,
    }
}

settings! {
    /// A field.
    #[derive(Debug, Clone)]
    pub struct FieldSettings {
        /// The name of the value; `{i}` is the number of the repetition. Left out: there is none.
        name: Option<String>,
        /// What it is.
        r#type: FieldType,
        /// Where it begins, in bytes from the beginning of the frame or group; negative: from the
        /// end of the frame. Left out: behind the one before.
        offset: Option<i64>,
        /// Which byte comes first.
        endian: Option<Endian>,
        /// How bits are counted.
        bit_order: Option<BitOrder>,
        /// The first bit, counted from `offset`.
        bit: Option<u32>,
        /// How many bits.
        width: Option<u32>,
        /// Whether bits are a number that can be negative.
        signed: bool = false,
        /// Bytes of text, digits, bytes, room, a moment.
        length: Option<Amount>,
        /// Multiplied with the number.
        scale: f64 = 1.0,
        /// Added behind that.
        add: f64 = 0.0,
        /// Only these bits of the number count.
        mask: Option<Number>,
        /// The number is moved right by so many bits, behind the mask.
        shift: u8 = 0,
        /// Words for numbers.
        r#enum: ByNumber<String> = ByNumber::default(),
        /// The number that says nothing was measured, or several.
        null: Numbers = Numbers::default(),
        /// When it is there.
        when: Option<WhenSettings>,
        /// How often it is there.
        repeat: Option<RepeatSettings>,
        /// The fields of a group.
        fields: Option<Nested>,
        /// When the values of a group were measured; they are a message of their own then.
        ts: Option<TimeSettings>,
        /// The field whose number chooses one of `cases`.
        on: Option<String>,
        /// Lists of fields by number.
        cases: ByNumber<Nested> = ByNumber::default(),
        /// The fields for every other number; left out: the frame is refused.
        otherwise: Option<Nested>,
        /// How a moment is written.
        format: Option<TimeFormat>,
        /// What a moment is counted from, seconds since 1970.
        since_s: i64 = 0,
        /// How far the device's clock is ahead of UTC.
        utc_offset_min: i32 = 0,
        /// Whether it is only read for other fields to look at.
        hidden: bool = false,
        /// What people read behind the number; it changes nothing.
        unit: Option<String>,
        /// In commands: what always stands there.
        value: Option<Json>,
        /// In commands: what stands there if nothing is given.
        default: Option<Json>,
    }
}

settings! {
    /// How bytes are proven.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ChecksumType {
        /// Polynomial 0x8005, reflected, from 0xFFFF; low byte first.
        Crc16Modbus = "crc16-modbus",
        /// Polynomial 0x1021, from 0xFFFF ("CCITT-FALSE").
        Crc16Ccitt = "crc16-ccitt",
        /// Polynomial 0x1021, from 0.
        Crc16Xmodem = "crc16-xmodem",
        /// Polynomial 0x1021, reflected, from 0; low byte first.
        Crc16Kermit = "crc16-kermit",
        /// Polynomial 0x04C11DB7, reflected, as in Ethernet and zip.
        Crc32 = "crc32",
        /// Polynomial 0x07, from 0.
        Crc8 = "crc8",
        /// The sum of all bytes, the lowest eight bits of it.
        Sum8 = "sum8",
        /// The same, negative: all bytes and this add up to 0.
        Lrc8 = "lrc8",
        /// The sum of all bytes, the lowest sixteen bits of it.
        Sum16 = "sum16",
        /// All bytes, one over the other.
        Xor8 = "xor8",
        /// None, also where the settings around have one.
        None = "none",
    }
}

settings! {
    /// A checksum.
    #[derive(Debug, Clone)]
    pub struct ChecksumSettings {
        /// Which.
        r#type: ChecksumType,
        /// Where it is; negative: from the end. Left out: at the end.
        offset: Option<i64>,
        /// The first byte it covers.
        from: i64 = 0,
        /// The first byte it does not cover any more; negative: from the end. Left out: itself.
        to: Option<i64>,
        /// Which byte comes first; left out: as is usual for the type.
        endian: Option<Endian>,
    }
}

settings! {
    /// How the key of a device is written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum DeviceFormat {
        /// Any bytes; the key is hexadecimal.
        Hex = "hex",
        /// Text.
        Ascii = "ascii",
        /// Decimal digits, two in a byte; the key has all of them.
        Bcd = "bcd",
        /// A number; the key is decimal.
        Unsigned = "unsigned",
    }
}

settings! {
    /// Whose the frame is.
    #[derive(Debug, Clone)]
    pub struct DeviceSettings {
        /// Where the key is; negative: from the end.
        offset: i64,
        /// Bytes.
        length: u32,
        /// How it is written.
        format: DeviceFormat = DeviceFormat::Hex,
        /// Which byte comes first, of numbers.
        endian: Option<Endian>,
        /// What is put before it.
        prefix: String = String::new(),
    }
}

settings! {
    /// Bytes that tell a variant.
    #[derive(Debug, Clone)]
    pub struct HeadSettings {
        /// Where they are; negative: from the end.
        offset: i64 = 0,
        /// The bytes.
        bytes: HexBytes,
        /// Only these bits of them are compared.
        mask: Option<HexBytes>,
    }
}

settings! {
    /// One of several kinds of frame. What it does not say is as around it.
    #[derive(Debug, Clone)]
    pub struct VariantSettings {
        /// How it is told; the first one that fits is taken.
        head: HeadSettings,
        /// Bytes of the frame.
        length: Option<u32>,
        /// Which byte comes first.
        endian: Option<Endian>,
        /// How bits are counted.
        bit_order: Option<BitOrder>,
        /// The fields, behind those that all variants have.
        fields: Vec<FieldSettings> = Vec::new(),
        /// How the frame is proven.
        checksum: Option<ChecksumSettings>,
        /// Whose it is.
        device: Option<DeviceSettings>,
        /// When its values were measured.
        ts: Option<TimeSettings>,
    }
}

settings! {
    /// A frame that is written.
    #[derive(Debug, Clone)]
    pub struct CommandSettings {
        /// Bytes of the frame; left out: as the template has, or as the fields need.
        length: Option<u32>,
        /// What stands there before the fields are written; left out: zeros.
        template: HexBytes = HexBytes::default(),
        /// Which byte comes first.
        endian: Option<Endian>,
        /// How bits are counted.
        bit_order: Option<BitOrder>,
        /// The fields; each that has a name is a parameter.
        fields: Vec<FieldSettings> = Vec::new(),
        /// How the frame is proven.
        checksum: Option<ChecksumSettings>,
    }
}

settings! {
    /// What the frames of a device look like.
    #[derive(Debug)]
    pub struct Settings {
        /// Bytes of the frame; left out: any.
        length: Option<u32>,
        /// Which byte comes first.
        endian: Endian = Endian::Big,
        /// How bits are counted.
        bit_order: BitOrder = BitOrder::Msb,
        /// The fields.
        fields: Vec<FieldSettings> = Vec::new(),
        /// How the frame is proven.
        checksum: Option<ChecksumSettings>,
        /// Whose it is; left out: the source's own device's.
        device: Option<DeviceSettings>,
        /// When its values were measured; left out: when it was received.
        ts: Option<TimeSettings>,
        /// Kinds of frame, by bytes that tell them; a frame that is none of them is refused.
        variants: Vec<VariantSettings> = Vec::new(),
        /// Frames to write, by the name of the command.
        commands: BTreeMap<String, CommandSettings> = BTreeMap::new(),
    }
}
