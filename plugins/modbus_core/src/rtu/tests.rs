use super::*;

fn sealed(pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    Rtu::seal(Adu { transaction: 0, unit: 1, pdu }, &mut frame);
    frame
}

/// A reply of every function whose length is known, and the request it answers.
fn exchanges() -> Vec<(Vec<u8>, Vec<u8>)> {
    let identification = [&[0x2b, 0x0e, 1, 1, 0, 0, 2, 0, 3][..], b"abc", &[1, 2], b"xy"].concat();
    let exchanges: [(&[u8], &[u8]); 19] = [
        (&[1, 0, 0x13, 0, 0x13], &[1, 3, 0xcd, 0x6b, 0x05]),
        (&[2, 0, 0xc4, 0, 0x16], &[2, 3, 0xac, 0xdb, 0x35]),
        (&[3, 0, 0x6b, 0, 3], &[3, 6, 2, 0x2b, 0, 0, 0, 0x64]),
        (&[4, 0, 8, 0, 1], &[4, 2, 0, 0x0a]),
        (&[5, 0, 0xac, 0xff, 0], &[5, 0, 0xac, 0xff, 0]),
        (&[6, 0, 1, 0, 3], &[6, 0, 1, 0, 3]),
        (&[7], &[7, 0x6d]),
        (&[8, 0, 0, 0xa5, 0x37], &[8, 0, 0, 0xa5, 0x37]),
        (&[8, 0, 0, 1, 2, 3, 4, 5, 6], &[8, 0, 0, 1, 2, 3, 4, 5, 6]),
        (&[0x0b], &[0x0b, 0xff, 0xff, 1, 8]),
        (&[0x0c], &[0x0c, 8, 0, 0, 1, 8, 1, 0x21, 0x20, 0]),
        (&[0x0f, 0, 0x13, 0, 10, 2, 0xcd, 1], &[0x0f, 0, 0x13, 0, 10]),
        (&[0x10, 0, 1, 0, 2, 4, 0, 10, 1, 2], &[0x10, 0, 1, 0, 2]),
        (&[0x11], &[0x11, 3, 1, 2, 0xff]),
        (&[0x14, 7, 6, 0, 4, 0, 1, 0, 2], &[0x14, 6, 5, 6, 0x0d, 0xfe, 0, 0x20]),
        (&[0x16, 0, 4, 0, 0xf2, 0, 0x25], &[0x16, 0, 4, 0, 0xf2, 0, 0x25]),
        (&[0x17, 0, 3, 0, 1, 0, 14, 0, 1, 2, 0, 0xff], &[0x17, 2, 0, 0xfe]),
        (&[0x18, 4, 0xde], &[0x18, 0, 6, 0, 2, 1, 0xb8, 0x12, 0x84]),
        (&[0x2b, 0x0e, 1, 0], &identification),
    ];
    let custom: (&[u8], &[u8]) = (&[0x41, 1], &[0x41, 9, 8, 7]);
    let all = exchanges.into_iter().chain([custom]);
    all.map(|(request, reply)| (sealed(request), sealed(reply))).collect()
}

#[test]
fn a_frame_is_opened_and_sealed() {
    let frame = sealed(&[3, 0, 0, 0, 1]);
    // From pymodbus's framer.
    assert_eq!(frame, [0x01, 0x03, 0x00, 0x00, 0x00, 0x01, 0x84, 0x0a]);
    assert_eq!(Rtu::open(&frame).unwrap().pdu, [3, 0, 0, 0, 1]);
}

#[test]
fn every_single_changed_bit_is_noticed() {
    for (_, frame) in exchanges() {
        for (at, bit) in (0..frame.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut changed = frame.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(Rtu::open(&changed).unwrap_err().code, code::CRC);
        }
    }
}

#[test]
fn too_short_and_too_long_are_no_frames() {
    for len in [0, 1, 2, 3, 257, 4096] {
        assert_eq!(Rtu::open(&vec![0; len]).unwrap_err().code, code::LENGTH, "{len}");
    }
    let longest = sealed(&[0x41; PDU_BYTES_MAX]);
    assert_eq!(longest.len(), FRAME_BYTES_MAX);
    assert!(Rtu::open(&longest).is_ok());
}

#[test]
fn every_reply_is_found_by_its_own_length() {
    for (request, reply) in exchanges() {
        let stream = [&reply[..], &[1, 3, 2]].concat();
        for len in 0..stream.len() {
            let expected =
                if len < reply.len() { Scan::NeedMore } else { Scan::Frame(reply.len()) };
            let found = Rtu::scan(&stream[..len], Some(&request));
            assert_eq!(found, expected, "function {} at {len}", reply[1]);
        }
    }
}

#[test]
fn public_replies_are_found_without_a_request() {
    for (request, reply) in exchanges() {
        let unsaid = reply[1] == 0x41 || (reply[1] == 8 && request.len() > 8);
        let expected = if unsaid { Scan::Skip(1) } else { Scan::Frame(reply.len()) };
        assert_eq!(Rtu::scan(&reply, None), expected, "function {}", reply[1]);
    }
}

#[test]
fn exceptions_are_found() {
    let (request, refusal) = (sealed(&[3, 0, 0, 0, 1]), sealed(&[0x83, 2]));
    assert_eq!(Rtu::scan(&refusal, Some(&request)), Scan::Frame(5));
    assert_eq!(Rtu::scan(&refusal, None), Scan::Frame(5));
}

#[test]
fn written_values_are_found_that_nobody_asked_for() {
    for pdu in [&[0x10, 0, 1, 0, 2, 4, 0, 10, 1, 2][..], &[0x0f, 0, 0x13, 0, 10, 2, 0xcd, 1]] {
        let frame = sealed(pdu);
        for len in 0..frame.len() {
            assert_eq!(Rtu::scan(&frame[..len], None), Scan::NeedMore, "{len}");
        }
        assert_eq!(Rtu::scan(&frame, None), Scan::Frame(frame.len()));
    }
}

#[test]
fn noise_before_a_reply_is_passed_over() {
    let (request, reply) = (sealed(&[3, 0, 0, 0, 1]), sealed(&[3, 2, 0x12, 0x34]));
    let stream = [&[0xff, 0x01, 0x01, 0x00][..], &reply].concat();
    let mut skipped = 0;
    let found = loop {
        match Rtu::scan(&stream[skipped..], Some(&request)) {
            Scan::Skip(count) => skipped += count,
            found => break found,
        }
    };
    assert_eq!((skipped, found), (4, Scan::Frame(reply.len())));
}

/// A framer asks again with every byte that comes: what was said once has to hold.
#[test]
fn more_bytes_do_not_change_what_was_said() {
    let mut seed = 0x1234_5678_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 16
    };
    let exchanges = exchanges();
    for round in 0..2_000 {
        let (request, reply) = &exchanges[next() as usize % exchanges.len()];
        let mut stream = reply.clone();
        stream.extend((0..next() % 300).map(|_| u8::try_from(next() % 256).unwrap()));
        if round % 3 > 0 {
            let at = next() as usize % stream.len();
            stream[at] ^= 1 << (next() % 8);
        }
        let request = (round % 2 > 0).then_some(&request[..]);
        let mut said = Scan::NeedMore;
        for len in 0..=stream.len() {
            let now = Rtu::scan(&stream[..len], request);
            assert!(said == Scan::NeedMore || said == now, "{said:?} became {now:?} at {len}");
            said = now;
            if let Scan::Frame(count) | Scan::Skip(count) = now {
                assert!((1..=len).contains(&count));
            }
        }
        assert!(said != Scan::NeedMore || stream.len() < FRAME_BYTES_MAX, "nothing was said");
    }
}
