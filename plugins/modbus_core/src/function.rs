//! Function codes and exception codes, by number and name (Application Protocol V1.1b3, 5.1 and 7).

/// The public function codes.
pub(crate) mod code {
    /// 6.1
    pub(crate) const READ_COILS: u8 = 0x01;
    /// 6.2
    pub(crate) const READ_DISCRETE_INPUTS: u8 = 0x02;
    /// 6.3
    pub(crate) const READ_HOLDING_REGISTERS: u8 = 0x03;
    /// 6.4
    pub(crate) const READ_INPUT_REGISTERS: u8 = 0x04;
    /// 6.5
    pub(crate) const WRITE_SINGLE_COIL: u8 = 0x05;
    /// 6.6
    pub(crate) const WRITE_SINGLE_REGISTER: u8 = 0x06;
    /// 6.7
    pub(crate) const READ_EXCEPTION_STATUS: u8 = 0x07;
    /// 6.8
    pub(crate) const DIAGNOSTICS: u8 = 0x08;
    /// 6.9
    pub(crate) const GET_COMM_EVENT_COUNTER: u8 = 0x0b;
    /// 6.10
    pub(crate) const GET_COMM_EVENT_LOG: u8 = 0x0c;
    /// 6.11
    pub(crate) const WRITE_MULTIPLE_COILS: u8 = 0x0f;
    /// 6.12
    pub(crate) const WRITE_MULTIPLE_REGISTERS: u8 = 0x10;
    /// 6.13
    pub(crate) const REPORT_SERVER_ID: u8 = 0x11;
    /// 6.14
    pub(crate) const READ_FILE_RECORD: u8 = 0x14;
    /// 6.15
    pub(crate) const WRITE_FILE_RECORD: u8 = 0x15;
    /// 6.16
    pub(crate) const MASK_WRITE_REGISTER: u8 = 0x16;
    /// 6.17
    pub(crate) const READ_WRITE_MULTIPLE_REGISTERS: u8 = 0x17;
    /// 6.18
    pub(crate) const READ_FIFO_QUEUE: u8 = 0x18;
    /// 6.19
    pub(crate) const ENCAPSULATED_INTERFACE: u8 = 0x2b;
    /// 7: set in the function code of an exception response.
    pub(crate) const EXCEPTION: u8 = 0x80;
}

/// 6.21: the interface of "read device identification" behind function 0x2B.
pub(crate) const MEI_DEVICE_IDENTIFICATION: u8 = 0x0e;

const OWN: &str = "a function of its own";

/// The name of a function, its exception bit left aside.
pub(crate) fn name(function: u8) -> &'static str {
    match function & !code::EXCEPTION {
        code::READ_COILS => "read coils",
        code::READ_DISCRETE_INPUTS => "read discrete inputs",
        code::READ_HOLDING_REGISTERS => "read holding registers",
        code::READ_INPUT_REGISTERS => "read input registers",
        code::WRITE_SINGLE_COIL => "write single coil",
        code::WRITE_SINGLE_REGISTER => "write single register",
        code::READ_EXCEPTION_STATUS => "read exception status",
        code::DIAGNOSTICS => "diagnostics",
        code::GET_COMM_EVENT_COUNTER => "get comm event counter",
        code::GET_COMM_EVENT_LOG => "get comm event log",
        code::WRITE_MULTIPLE_COILS => "write multiple coils",
        code::WRITE_MULTIPLE_REGISTERS => "write multiple registers",
        code::REPORT_SERVER_ID => "report server id",
        code::READ_FILE_RECORD => "read file record",
        code::WRITE_FILE_RECORD => "write file record",
        code::MASK_WRITE_REGISTER => "mask write register",
        code::READ_WRITE_MULTIPLE_REGISTERS => "read/write multiple registers",
        code::READ_FIFO_QUEUE => "read FIFO queue",
        code::ENCAPSULATED_INTERFACE => "encapsulated interface",
        _ => OWN,
    }
}

/// Whether the specification lays a function's frames out.
pub(crate) fn is_public(function: u8) -> bool {
    name(function) != OWN && function & code::EXCEPTION == 0
}

/// Whether a function changes something and may therefore be sent to every unit at once, which no
/// unit answers (Modbus over Serial Line V1.02, 2.1: "broadcast requests are necessarily writing
/// commands").
pub(crate) fn writes(function: u8) -> bool {
    matches!(
        function,
        code::WRITE_SINGLE_COIL
            | code::WRITE_SINGLE_REGISTER
            | code::WRITE_MULTIPLE_COILS
            | code::WRITE_MULTIPLE_REGISTERS
            | code::WRITE_FILE_RECORD
            | code::MASK_WRITE_REGISTER
    )
}

/// The name of an exception code (7, "MODBUS exception codes").
pub(crate) fn exception_name(exception: u8) -> &'static str {
    match exception {
        0x01 => "illegal function",
        0x02 => "illegal data address",
        0x03 => "illegal data value",
        0x04 => "server device failure",
        0x05 => "acknowledge",
        0x06 => "server device busy",
        0x08 => "memory parity error",
        0x0a => "gateway path unavailable",
        0x0b => "gateway target device failed to respond",
        _ => "a reason of its own",
    }
}
