//! Where the next slice ends: arithmetic of offsets, without I/O.

use super::{range::Range, topic::AllEnds, witness};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::{
        position::{Bound, Position},
        value::Value,
    },
};

/// The number of a partition, as positions name it.
pub(super) fn number(name: &str) -> Result<i32> {
    name.parse().map_err(|_| no_position(&format!("\"{name}\" is no partition")))
}

/// The first offset behind a bound.
pub(super) fn offset_after(bound: &Bound) -> Result<i64> {
    match bound.at.as_slice() {
        [Value::Int(at), ..] if *at >= -1 => Ok(at + 1),
        _ => Err(no_position("its bound is no offset")),
    }
}

/// All of a topic, as a head that was taken for it says.
pub(super) fn whole(head: &Position) -> Result<Vec<Range>> {
    let range = |(name, bound): (&String, &Bound)| match bound.at.as_slice() {
        [_, Value::Int(low)] => {
            Ok(Range { partition: number(name)?, from: *low, until: offset_after(bound)? })
        }
        _ => Err(no_position("it does not say where the topic begins")),
    };
    head.partitions.iter().map(range).collect()
}

fn no_position(why: &str) -> Error {
    Error::new(ErrorKind::SourceChanged, format!("the position is none in a topic: {why}"))
}

/// What lies between a position and a head, by partition.
pub(super) fn open(from: Option<&Position>, head: &Position, ends: &AllEnds) -> Result<Vec<Range>> {
    let mut open = vec![];
    for (name, bound) in &head.partitions {
        let partition = number(name)?;
        let begin = match from {
            None => ends.get(&partition).map_or(0, |ends| ends.low),
            Some(from) => from.partitions.get(name).map_or(Ok(0), offset_after)?,
        };
        let until = offset_after(bound)?;
        if begin < until {
            open.push(Range { partition, from: begin, until });
        }
    }
    open.sort_by_key(|open| open.partition);
    Ok(open)
}

/// The end of the next slice of at most so many offsets, every partition by its share of what is open; `None` = nothing is open. A bound inside a partition
/// keeps a witness of its head: it tells the topic by any of its messages.
pub(super) fn cut(
    from: Option<&Position>,
    head: &Position,
    open: &[Range],
    ends: &AllEnds,
    most: u64,
) -> Option<Position> {
    let total: u64 = open.iter().map(|open| (open.until - open.from).unsigned_abs()).sum();
    if total == 0 {
        return None;
    }
    if total <= most {
        return Some(further(head, from));
    }
    let mut after = from.cloned().unwrap_or_else(|| beginning(head, ends));
    let mut left = most;
    let mut rest = total;
    for open in open {
        let length = (open.until - open.from).unsigned_abs();
        // Rounded up, so that somebody moves; what is left over goes to the partitions behind.
        let share = u128::from(left) * u128::from(length);
        let take = u64::try_from(share.div_ceil(u128::from(rest))).unwrap_or(length).min(length).min(left);
        (left, rest) = (left - take, rest - length);
        if take > 0 {
            let name = open.partition.to_string();
            let witness = head.partitions.get(&name).and_then(|bound| bound.witness.clone());
            let at = vec![Value::Int(open.from + take.cast_signed() - 1)];
            after.partitions.insert(name, Bound { at, witness });
        }
    }
    Some(after)
}

/// The head, but in partitions that another writer of the track has carried past it: there nobody goes back.
fn further(head: &Position, from: Option<&Position>) -> Position {
    let mut after = head.clone();
    for (name, bound) in from.iter().flat_map(|from| &from.partitions) {
        let reached = |bound: &Bound| offset_after(bound).unwrap_or_default();
        if after.partitions.get(name).is_none_or(|end| reached(end) < reached(bound)) {
            after.partitions.insert(name.clone(), bound.clone());
        }
    }
    after
}

/// Whether a position, or the message that it remembers, lies behind these ends.
pub(super) fn lies_behind(from: &Position, ends: &AllEnds) -> Result<bool> {
    for (name, bound) in &from.partitions {
        let high = ends.get(&number(name)?).map_or(0, |ends| ends.high);
        if offset_after(bound)? > high || witness::offset(bound).is_some_and(|offset| offset >= high) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where a topic begins that is read from its beginning: what was deleted before is nothing that was lost, also in partitions of which a slice takes nothing.
fn beginning(head: &Position, ends: &AllEnds) -> Position {
    let begun = |(name, bound): (&String, &Bound)| {
        let low = ends.get(&number(name).ok()?).map_or(0, |ends| ends.low);
        let at = vec![Value::Int(low - 1)];
        (low > 0).then(|| (name.clone(), Bound { at, witness: bound.witness.clone() }))
    };
    let partitions = head.partitions.iter().filter_map(begun).collect();
    Position { source: head.source.clone(), partitions }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{super::topic::Ends, *};
    use crate::model::position::SourceIdentity;

    fn position(ends: &[i64]) -> Position {
        let source = SourceIdentity { kind: "kafka".into(), place: "c t".into(), order: "offset".into() };
        let bound =
            |(partition, end): (usize, &i64)| (partition.to_string(), Bound::at(vec![Value::Int(end - 1)]));
        let partitions = ends.iter().enumerate().filter(|(_, end)| **end > 0).map(bound).collect();
        Position { source, partitions }
    }

    proptest! {
        /// Slices one after another cover every offset that is there once, none is bigger than it may be, and each gets further. Where a partition begins is known from the first one on.
        #[test]
        fn slices_cover_all_partitions(all in vec((0_i64..60, 0_i64..60), 1..14), most in 1_u64..40) {
            let ends: Vec<i64> = all.iter().map(|(a, b)| *a.max(b)).collect();
            let lows = all.iter().map(|(a, b)| *a.min(b));
            let known: AllEnds =
                (0..).zip(lows.zip(&ends).map(|(low, high)| Ends { low, high: *high })).collect();
            let head = position(&ends);
            let mut at: Option<Position> = None;
            let mut read: Vec<i64> = known.values().map(|ends| ends.low).collect();
            loop {
                let open = open(at.as_ref(), &head, &known).unwrap();
                let Some(after) = cut(at.as_ref(), &head, &open, &known, most) else { break };
                let mut moved = 0;
                for (name, bound) in &after.partitions {
                    let (partition, next) = (number(name).unwrap() as usize, offset_after(bound).unwrap());
                    prop_assert!(next >= read[partition] && next <= ends[partition]);
                    moved += next - read[partition];
                    read[partition] = next;
                }
                prop_assert!(moved > 0 && moved as u64 <= most, "{moved} of {most}");
                for (partition, ends) in &known {
                    let bound = after.partitions.get(&partition.to_string());
                    prop_assert!(bound.map_or(0, |bound| offset_after(bound).unwrap()) >= ends.low);
                }
                at = Some(after);
            }
            prop_assert_eq!(read, ends);
        }

        /// Another writer of the track may be past the head in some partitions: they stay where they are, whatever is taken of the others.
        #[test]
        fn what_others_carried_past_the_head_stays(all in vec((0_i64..40, 0_i64..40), 1..8), most in 1_u64..200) {
            let (head, from) = all.iter().copied().unzip::<_, _, Vec<_>, Vec<_>>();
            let (head, from) = (position(&head), position(&from));
            let ends = AllEnds::new();
            let open = open(Some(&from), &head, &ends).unwrap();
            if let Some(after) = cut(Some(&from), &head, &open, &ends, most) {
                for (name, bound) in &from.partitions {
                    prop_assert!(offset_after(&after.partitions[name]).unwrap() >= offset_after(bound).unwrap());
                }
            }
        }
    }

    #[test]
    fn a_position_or_its_message_may_lie_behind_known_ends() {
        let ends: AllEnds = [(0, Ends { low: 0, high: 5 })].into();
        assert!(!lies_behind(&position(&[5]), &ends).unwrap());
        assert!(lies_behind(&position(&[6]), &ends).unwrap());
        assert!(lies_behind(&position(&[5, 1]), &ends).unwrap(), "another partition");
        let mut inside = position(&[3]);
        inside.partitions.get_mut("0").unwrap().witness = Some("5 0 digest".to_owned());
        assert!(lies_behind(&inside, &ends).unwrap());
    }
}
