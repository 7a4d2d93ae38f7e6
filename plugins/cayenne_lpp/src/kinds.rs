//! The types of data.
//!
//! Owns their numbers, names, sizes and scales. A type's number is its IPSO object's less 3200
//! (LPP, "Data Types").

use std::borrow::Cow;

/// One number within the data of a record, most significant byte first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Part {
    /// What is put behind the record's name; empty where there is one number only.
    pub(crate) suffix: &'static str,
    /// 1 to 8.
    pub(crate) bytes: usize,
    pub(crate) signed: bool,
    /// How many make one of the unit. The documents give it as resolution: 0.1 °C is ten.
    pub(crate) divisor: f64,
}

/// A type of data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kind {
    pub(crate) name: Cow<'static, str>,
    pub(crate) parts: Cow<'static, [Part]>,
    /// Seconds since 1970.
    pub(crate) is_time: bool,
}

impl Kind {
    /// Bytes of its data.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// The number of the type of Unix time.
const UNIX_TIME: u8 = 133;

const fn unsigned(suffix: &'static str, bytes: usize, divisor: f64) -> Part {
    Part { suffix, bytes, signed: false, divisor }
}

const fn signed(suffix: &'static str, bytes: usize, divisor: f64) -> Part {
    Part { suffix, bytes, signed: true, divisor }
}

/// LPP 1.0, units in the comments.
const STANDARD: &[(u8, &str, &[Part])] = &[
    (0, "digital_input", &[unsigned("", 1, 1.0)]),
    (1, "digital_output", &[unsigned("", 1, 1.0)]),
    (2, "analog_input", &[signed("", 2, 100.0)]),
    (3, "analog_output", &[signed("", 2, 100.0)]),
    (101, "illuminance", &[unsigned("", 2, 1.0)]), // lx
    (102, "presence", &[unsigned("", 1, 1.0)]),
    (103, "temperature", &[signed("", 2, 10.0)]), // °C
    (104, "humidity", &[unsigned("", 1, 2.0)]),   // %
    // g
    (113, "accelerometer", &[signed("_x", 2, 1e3), signed("_y", 2, 1e3), signed("_z", 2, 1e3)]),
    (115, "barometer", &[unsigned("", 2, 10.0)]), // hPa
    // °/s
    (134, "gyrometer", &[signed("_x", 2, 1e2), signed("_y", 2, 1e2), signed("_z", 2, 1e2)]),
    // °, °, m
    (
        136,
        "gps",
        &[signed("_latitude", 3, 1e4), signed("_longitude", 3, 1e4), signed("_altitude", 3, 1e2)],
    ),
];

/// What libraries added, after the same IPSO objects.
const EXTENDED: &[(u8, &str, &[Part])] = &[
    (100, "generic", &[unsigned("", 4, 1.0)]),
    (116, "voltage", &[unsigned("", 2, 100.0)]),     // V
    (117, "current", &[unsigned("", 2, 1e3)]),       // A
    (118, "frequency", &[unsigned("", 4, 1.0)]),     // Hz
    (120, "percentage", &[unsigned("", 1, 1.0)]),    // %
    (121, "altitude", &[signed("", 2, 1.0)]),        // m
    (122, "load", &[signed("", 3, 1e3)]),            // kg
    (125, "concentration", &[unsigned("", 2, 1.0)]), // ppm
    (128, "power", &[unsigned("", 2, 1.0)]),         // W
    (130, "distance", &[unsigned("", 4, 1e3)]),      // m
    (131, "energy", &[unsigned("", 4, 1e3)]),        // kWh
    (132, "direction", &[unsigned("", 2, 1.0)]),     // °
    (UNIX_TIME, "time", &[unsigned("", 4, 1.0)]),
    // 0 to 255
    (
        135,
        "colour",
        &[unsigned("_red", 1, 1.0), unsigned("_green", 1, 1.0), unsigned("_blue", 1, 1.0)],
    ),
    (142, "switch", &[unsigned("", 1, 1.0)]),
];

/// The full-scale position of LPP 2.0, section 4.3: channel and this, without a type. °, °, m.
pub(crate) const FULL_POSITION: &[Part] =
    &[signed("_latitude", 4, 1e6), signed("_longitude", 4, 1e6), signed("_altitude", 2, 1e2)];

/// Every number and the type it stands for.
pub(crate) fn known() -> Vec<Option<Kind>> {
    let mut kinds = vec![None; 256];
    for (number, name, parts) in STANDARD.iter().chain(EXTENDED) {
        kinds[usize::from(*number)] = Some(Kind {
            name: Cow::Borrowed(name),
            parts: Cow::Borrowed(parts),
            is_time: *number == UNIX_TIME,
        });
    }
    kinds
}

/// The numbers of the outputs.
pub(crate) const DIGITAL_OUTPUT: u8 = 1;
pub(crate) const ANALOG_OUTPUT: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// LPP, "Data Types", and the sizes of the library of Electronic Cats.
    #[test]
    fn sizes_are_those_of_the_documents() {
        let sizes = [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 2),
            (100, 4),
            (101, 2),
            (102, 1),
            (103, 2),
            (104, 1),
            (113, 6),
            (115, 2),
            (116, 2),
            (117, 2),
            (118, 4),
            (120, 1),
            (121, 2),
            (122, 3),
            (125, 2),
            (128, 2),
            (130, 4),
            (131, 4),
            (132, 2),
            (133, 4),
            (134, 6),
            (135, 3),
            (136, 9),
            (142, 1),
        ];
        let kinds = known();
        let found: Vec<(usize, usize)> = kinds
            .iter()
            .enumerate()
            .filter_map(|(number, kind)| Some((number, kind.as_ref()?.bytes())))
            .collect();
        assert_eq!(found, sizes);
    }
}
