//! The four tables of a device, and the ways its addresses are written.
//!
//! In frames every table begins at 0 (Application Protocol V1.1b3, 4.4). Manuals write 1 for the
//! first place, or put the table's digit before it: 40001 is the first holding register.

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::{Json, Setting, settings};

settings! {
    /// A table of a device (Application Protocol V1.1b3, 4.3).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Table {
        /// Bits that can be written.
        Coil = "coil",
        /// Bits that can only be read.
        Discrete = "discrete",
        /// Registers that can only be read.
        Input = "input",
        /// Registers that can be written.
        Holding = "holding",
    }
}

impl Table {
    /// All of them, in order of [`Table::index`].
    pub(crate) const ALL: [Self; 4] = [Self::Coil, Self::Discrete, Self::Input, Self::Holding];

    /// Its place among the four.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Coil => 0,
            Self::Discrete => 1,
            Self::Input => 2,
            Self::Holding => 3,
        }
    }

    /// Its word in settings.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Input => "input",
            Self::Holding => "holding",
        }
    }

    /// Whether it holds bits, not registers.
    #[inline]
    pub(crate) const fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// Whether it can be written.
    pub(crate) const fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::Holding)
    }

    /// The function that reads it.
    pub(crate) const fn read_function(self) -> u8 {
        use crate::function::code;
        match self {
            Self::Coil => code::READ_COILS,
            Self::Discrete => code::READ_DISCRETE_INPUTS,
            Self::Input => code::READ_INPUT_REGISTERS,
            Self::Holding => code::READ_HOLDING_REGISTERS,
        }
    }

    /// The table a function reads.
    pub(crate) fn read_by(function: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.read_function() == function)
    }

    /// Its digit in addresses of the 40001 style.
    const fn digit(self) -> u32 {
        match self {
            Self::Coil => 0,
            Self::Discrete => 1,
            Self::Input => 3,
            Self::Holding => 4,
        }
    }
}

/// Places a table has.
pub(crate) const PLACES: u32 = 0x1_0000;

/// How addresses are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressBase {
    /// As in frames: the first place is 0.
    #[default]
    Zero,
    /// The first place is 1.
    One,
    /// The table's digit before the place: 40001, or 400001 for places beyond 9999.
    Modicon,
}

impl Setting for AddressBase {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        match (json.as_i64(), json.as_str()) {
            (Some(0), _) => Ok(Self::Zero),
            (Some(1), _) => Ok(Self::One),
            (_, Some("modicon")) => Ok(Self::Modicon),
            _ => Err(JsonError::new("must be 0, 1 or \"modicon\"")),
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Zero => 0.into(),
            Self::One => 1.into(),
            Self::Modicon => "modicon".into(),
        }
    }

    fn schema() -> Json {
        let all = [Self::Zero, Self::One, Self::Modicon];
        let words = Json::List(all.iter().map(Setting::to_json).collect());
        Json::object([("enum", words)])
    }
}

impl AddressBase {
    /// The table and the place in it, from 0, that are meant. Without a table the address may say
    /// which it is; failing that it is that of the holding registers.
    ///
    /// # Errors
    /// There is no such place, or it is in another table.
    pub(crate) fn locate(
        self,
        table: Option<Table>,
        address: u32,
    ) -> Result<(Table, u32), JsonError> {
        let first = match self {
            Self::Zero => 0,
            Self::One => 1,
            Self::Modicon => return modicon(table, address),
        };
        match address.checked_sub(first) {
            Some(place) if place < PLACES => Ok((table.unwrap_or(Table::Holding), place)),
            _ => {
                let last = PLACES - 1 + first;
                Err(JsonError::new(format!("must be a whole number from {first} to {last}")))
            }
        }
    }

    /// A place as it is written.
    pub(crate) fn written(self, table: Table, place: u32) -> u32 {
        match self {
            Self::Zero => place,
            Self::One => place + 1,
            Self::Modicon if place < 9_999 => table.digit() * 10_000 + place + 1,
            Self::Modicon => table.digit() * 100_000 + place + 1,
        }
    }
}

/// Five digits for the first 9 999 places of each table, six for all 65 536.
fn modicon(table: Option<Table>, address: u32) -> Result<(Table, u32), JsonError> {
    let found = Table::ALL.into_iter().find_map(|table| {
        let place = |digits: u32, places: u32| {
            let place = address.checked_sub(table.digit() * digits + 1)?;
            (place < places).then_some((table, place))
        };
        place(10_000, 9_999).or_else(|| place(100_000, PLACES).filter(|_| table != Table::Coil))
    });
    match (found, table) {
        (Some((is, _)), Some(said)) if is != said => {
            let text = format!("is in the table {:?}, not {:?}", is.word(), said.word());
            Err(JsonError::new(text))
        }
        (Some(found), _) => Ok(found),
        (None, _) => Err(JsonError::new(
            "is no address of the 40001 style: coils are 1 to 9999, discrete inputs 10001 to \
             19999, input registers 30001 to 39999, holding registers 40001 to 49999, with six \
             digits 100001, 300001 and 400001 on",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(base: AddressBase, address: u32) -> Option<(Table, u32)> {
        base.locate(None, address).ok()
    }

    #[test]
    fn every_way_of_writing_an_address_means_the_same_place() {
        let holding_107 = Some((Table::Holding, 107));
        assert_eq!(located(AddressBase::Zero, 107), holding_107);
        assert_eq!(located(AddressBase::One, 108), holding_107);
        assert_eq!(located(AddressBase::Modicon, 40_108), holding_107);
        assert_eq!(located(AddressBase::Modicon, 400_108), holding_107);
    }

    #[test]
    fn the_digit_of_an_address_tells_its_table() {
        for (address, table, place) in [
            (1, Table::Coil, 0),
            (9_999, Table::Coil, 9_998),
            (10_001, Table::Discrete, 0),
            (30_001, Table::Input, 0),
            (49_999, Table::Holding, 9_998),
            (165_536, Table::Discrete, 65_535),
            (300_001, Table::Input, 0),
            (465_536, Table::Holding, 65_535),
        ] {
            assert_eq!(located(AddressBase::Modicon, address), Some((table, place)), "{address}");
        }
    }

    #[test]
    fn addresses_that_are_none_are_refused() {
        for (base, address) in [
            (AddressBase::Zero, 65_536),
            (AddressBase::One, 0),
            (AddressBase::One, 65_537),
            (AddressBase::Modicon, 0),
            (AddressBase::Modicon, 10_000),
            (AddressBase::Modicon, 20_001),
            (AddressBase::Modicon, 50_000),
            (AddressBase::Modicon, 465_537),
        ] {
            assert_eq!(located(base, address), None, "{base:?} {address}");
        }
        let error = AddressBase::Modicon.locate(Some(Table::Input), 40_001).unwrap_err();
        assert_eq!(error.text, "is in the table \"holding\", not \"input\"");
    }

    #[test]
    fn a_place_is_written_as_it_is_read() {
        for base in [AddressBase::Zero, AddressBase::One, AddressBase::Modicon] {
            for place in [0, 9_998, 9_999, 65_535] {
                let written = base.written(Table::Holding, place);
                assert_eq!(located(base, written), Some((Table::Holding, place)));
            }
        }
    }
}
