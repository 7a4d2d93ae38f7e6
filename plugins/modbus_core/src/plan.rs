//! As few requests as the limits allow.
//!
//! Owns how places that are wanted become ranges that are read. Must never cut a value in two.

use crate::map::Map;
use crate::point::Point;
use crate::request::Range;
use crate::table::Table;

/// Ranges that bring all the points that are wanted. Each begins where the first point still missing
/// does and reaches as far as it may: no other choice needs fewer.
pub(crate) fn ranges(map: &Map, wanted: impl Fn(&Point) -> bool) -> Vec<Range> {
    let mut ranges = Vec::new();
    for table in Table::ALL {
        let mut open: Option<(u32, u32)> = None;
        for point in map.points(table).iter().filter(|point| wanted(point)) {
            open = Some(match open {
                Some((from, to)) if fits(map, table, (from, to), (point.start, point.end)) => {
                    (from, to.max(point.end))
                }
                Some((from, to)) => {
                    ranges.push(Range { table, start: from, count: to - from });
                    (point.start, point.end)
                }
                None => (point.start, point.end),
            });
        }
        if let Some((from, to)) = open {
            ranges.push(Range { table, start: from, count: to - from });
        }
    }
    ranges
}

/// Whether what begins no earlier can be read along.
fn fits(map: &Map, table: Table, (from, to): (u32, u32), (start, end): (u32, u32)) -> bool {
    start <= to + map.gap_max && to.max(end) - from <= map.read_max(table)
}

/// Ranges that bring all these places, cut where no point of the unit is cut.
pub(crate) fn cut(map: &Map, range: Range, unit: u8) -> Vec<Range> {
    let (table, end, max) = (range.table, range.start + range.count, map.read_max(range.table));
    let (mut ranges, mut start) = (Vec::new(), range.start);
    while start < end {
        let furthest = end.min(start + max);
        let mut to = furthest;
        while to < end {
            match map.across(table, to, unit) {
                Some(point) if point.start > start => to = point.start,
                // One point after the other, without end: something has to be cut.
                Some(_) => {
                    to = furthest;
                    break;
                }
                None => break,
            }
        }
        ranges.push(Range { table, start, count: to - start });
        start = to;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::tests::map;

    fn planned(settings: &str) -> Vec<(u32, u32)> {
        let map = map(settings);
        ranges(&map, |_| true).iter().map(|range| (range.start, range.count)).collect()
    }

    /// Registers with these places, and limits.
    fn settings(limits: &str, places: &[(u32, u32)]) -> String {
        let registers: Vec<_> = places
            .iter()
            .enumerate()
            .map(|(index, (start, len))| {
                let of = match len {
                    1 => "\"u16\"".to_owned(),
                    _ => format!("\"string\", \"length\": {}", len * 2),
                };
                format!(r#"{{"name": "r{index}", "address": {start}, "type": {of}}}"#)
            })
            .collect();
        format!(r#"{{{limits} "registers": [{}]}}"#, registers.join(","))
    }

    #[test]
    fn neighbours_are_read_together() {
        assert_eq!(planned(&settings("", &[(0, 2), (2, 1), (3, 2)])), [(0, 5)]);
    }

    #[test]
    fn a_gap_is_read_along_only_if_it_may_be() {
        let places = [(0, 1), (4, 1)];
        assert_eq!(planned(&settings("", &places)), [(0, 1), (4, 1)]);
        assert_eq!(planned(&settings(r#""gap_max": 2,"#, &places)), [(0, 1), (4, 1)]);
        assert_eq!(planned(&settings(r#""gap_max": 3,"#, &places)), [(0, 5)]);
    }

    #[test]
    fn no_request_reads_more_than_the_limit() {
        let places: Vec<_> = (0..200).map(|place| (place, 1)).collect();
        assert_eq!(planned(&settings("", &places)), [(0, 125), (125, 75)]);
        let limit = r#""registers_max": 64,"#;
        assert_eq!(planned(&settings(limit, &places)), [(0, 64), (64, 64), (128, 64), (192, 8)]);
    }

    #[test]
    fn no_value_is_cut_in_two() {
        let limit = r#""registers_max": 4,"#;
        assert_eq!(planned(&settings(limit, &[(0, 2), (2, 1), (3, 2)])), [(0, 3), (3, 2)]);
    }

    #[test]
    fn overlapping_values_are_read_once() {
        assert_eq!(planned(&settings("", &[(0, 4), (1, 1), (2, 2)])), [(0, 4)]);
    }

    /// By trying every way of dealing points, in order, to requests.
    fn fewest(limit: u32, gap: u32, places: &[(u32, u32)]) -> usize {
        let mut sorted = places.to_vec();
        sorted.sort_unstable();
        (0..1_u32 << sorted.len().saturating_sub(1))
            .filter_map(|cuts| {
                let mut groups: Vec<Vec<(u32, u32)>> = vec![Vec::new()];
                for (index, place) in sorted.iter().enumerate() {
                    if index > 0 && cuts >> (index - 1) & 1 == 1 {
                        groups.push(Vec::new());
                    }
                    groups.last_mut().unwrap().push(*place);
                }
                let allowed = groups.iter().all(|group| {
                    let mut to = group[0].0;
                    group.iter().all(|(start, len)| {
                        let near = *start <= to + gap;
                        to = to.max(start + len);
                        near && to - group[0].0 <= limit
                    })
                });
                allowed.then_some(groups.len())
            })
            .min()
            .unwrap()
    }

    #[test]
    fn no_other_way_needs_fewer_requests() {
        let mut seed = 0x2545_f491_u32;
        let mut next = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % below
        };
        for _ in 0..300 {
            let places: Vec<_> = (0..1 + next(8)).map(|_| (next(30), 1 + next(3))).collect();
            let (limit, gap) = (3 + next(8), next(4));
            let limits = format!(r#""registers_max": {limit}, "gap_max": {gap},"#);
            let planned = planned(&settings(&limits, &places));
            assert_eq!(planned.len(), fewest(limit, gap, &places), "{limit} {gap} {places:?}");
        }
    }

    #[test]
    fn a_long_range_is_cut_between_values() {
        let map = map(r#"{"registers": [{"name": "a", "address": 124, "type": "u32"}]}"#);
        let whole = Range { table: Table::Holding, start: 0, count: 200 };
        let cut: Vec<_> = cut(&map, whole, 1).iter().map(|r| (r.start, r.count)).collect();
        assert_eq!(cut, [(0, 124), (124, 76)]);
    }
}
