//! Bytes nobody meant to send.

/// Variations of good bytes, the same ones each time: cut at every byte, every bit turned over,
/// every byte at its extremes, and `random` more with several bytes changed, inserted or taken
/// away, or of bytes that were never good.
///
/// A decoder is given each of them, and has to answer: with values, with nothing, with an error;
/// never with a panic.
///
/// ```
/// use flux_plugin_sdk::testing::hostile;
///
/// let variations: Vec<Vec<u8>> = hostile(b"\x01\x02", 100).collect();
/// assert!(variations.contains(&b"\x01".to_vec()) && variations.contains(&b"\x01\x82".to_vec()));
/// ```
pub fn hostile(good: &[u8], random: u32) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cut = (0..good.len()).map(|len| good[..len].to_vec());
    let turned = (0..good.len() * 8).map(|bit| with(good, bit / 8, |byte| byte ^ (1 << (bit % 8))));
    let extremes = [0x00, 0x7f, 0x80, 0xff];
    let extreme = (0..good.len() * extremes.len())
        .map(move |at| with(good, at / extremes.len(), |_| extremes[at % extremes.len()]));
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ good.len() as u64);
    cut.chain(turned).chain(extreme).chain((0..random).map(move |_| dice.vary(good)))
}

fn with(good: &[u8], at: usize, change: impl Fn(u8) -> u8) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[at] = change(bytes[at]);
    bytes
}

/// Numbers that look random and are the same each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        usize::try_from(number).unwrap_or_default() % below.max(1)
    }

    #[allow(clippy::cast_possible_truncation)] // below 256
    fn byte(&mut self) -> u8 {
        self.roll(256) as u8
    }

    fn vary(&mut self, good: &[u8]) -> Vec<u8> {
        if self.roll(4) == 0 {
            return (0..self.roll(2 * good.len() + 16)).map(|_| self.byte()).collect();
        }
        let mut bytes = good.to_vec();
        for _ in 0..=self.roll(4) {
            let at = self.roll(bytes.len());
            match self.roll(3) {
                0 => bytes.insert(at, self.byte()),
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                _ => {
                    let byte = self.byte();
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                }
            }
        }
        bytes
    }
}
