//! Synthetic rows: declared, seeded, the same rows for the same specification.
//! `docs/connectors/generate.md` is for users.

mod columns;
mod condition;
pub mod config;
mod curve;
mod draw;
mod listed;
mod problems;
mod read;
mod shape;
mod walk;

use std::sync::{Arc, Mutex};

use chrono_tz::Tz;
use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::{
    error::{Error, ErrorKind, Result},
    source::Source,
};
use crate::model::{
    delivery::{Order, Reading, SourceFacts},
    name::{JobName, Member},
    position::SourceIdentity,
    time::{Clock, Span, instant},
};
use columns::Columns;
use condition::Condition;
use config::{Delay, Generate, Start};
use curve::{Placing, Rate, local_time};
use draw::{below, mix, name_key};
use listed::Listed;
use walk::{Flow, Following, Lineage, Maker};

/// Opens a generator as the source of one member of a pipeline. `parents` are the specifications of the generators that its rows come from, by
/// pipeline name; each is taken with the same member.
pub fn open(
    pipeline: &JobName,
    member: &Member,
    spec: &Generate,
    parents: &IndexMap<String, Generate>,
    zone: Tz,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Source>> {
    let place = format!("{pipeline}/{}", member.key()).trim_end_matches('/').to_owned();
    let maker = maker(pipeline.as_str(), member, spec, parents, zone)?;
    let identity =
        SourceIdentity { kind: "generate".to_owned(), place, order: fingerprint(spec, parents, zone) };
    Ok(Arc::new(read::Generator { maker, identity, clock }))
}

/// What a generator can promise: rows by time, none late, always the same.
pub fn source_facts() -> SourceFacts {
    SourceFacts { reading: Reading::Ranges(Order::Sure), replays: true }
}

/// A digest of all that decides about the rows, but for the pipeline's and member's names; a number in front changes with the drawing itself.
fn fingerprint(spec: &Generate, parents: &IndexMap<String, Generate>, zone: Tz) -> String {
    let mut ancestors = vec![];
    let mut next = spec.parent.as_ref();
    while let Some(parent) = next.filter(|_| ancestors.len() < parents.len()) {
        let Some(theirs) = parents.get(&parent.pipeline) else {
            break;
        };
        ancestors.push((&parent.pipeline, theirs));
        next = theirs.parent.as_ref();
    }
    let text = serde_json::json!([spec, ancestors, zone.name()]).to_string();
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let start = digest.iter().take(12).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("1:{start:024x}")
}

fn maker(
    pipeline: &str,
    member: &Member,
    spec: &Generate,
    parents: &IndexMap<String, Generate>,
    zone: Tz,
) -> Result<Arc<Maker>> {
    let unfit =
        |message: String| Error::new(ErrorKind::Unsupported, format!("generator \"{pipeline}\": {message}"));
    if let Some(finding) = spec.problems(parents).into_iter().next() {
        return Err(unfit(format!("{}: {}", finding.path.join("."), finding.message)));
    }
    let key = below(below(mix(spec.seed), name_key(pipeline)), name_key(&member.key()));
    let schema = spec.schema(parents);
    let (origin, flow) = match (&spec.parent, &spec.rows) {
        (_, Some(rows)) => {
            let listed = Listed::new(rows, &schema, zone).map_err(walk::broken)?;
            (listed.origin(), Flow::Listed(listed))
        }
        (None, None) => {
            let start = match spec.start {
                Some(Start::Local(local)) => instant(zone, local),
                Some(Start::Instant(instant)) => instant,
                None => return Err(unfit("`start` is missing".to_owned())),
            };
            let origin = (start.timestamp() + 59).div_euclid(60);
            let curve = spec.curve.clone().unwrap_or_default();
            let first_day = local_time(zone, origin).date();
            let rate = Rate::new(&curve, spec.per_day.unwrap_or(0.0), key, zone, first_day);
            (origin, Flow::Own(rate))
        }
        (Some(parent), None) => {
            let mut others = parents.clone();
            let theirs = others
                .shift_remove(&parent.pipeline)
                .ok_or_else(|| unfit(format!("its parent `{}` is no generator", parent.pipeline)))?;
            // Without itself among its ancestors a chain cannot bite its own tail.
            let theirs = maker(&parent.pipeline, member, &theirs, &others, zone)?;
            (theirs.origin, Flow::Born(lineage(spec, parent, theirs, zone)))
        }
    };
    let columns = Columns::new(spec, schema, key);
    Ok(Arc::new(Maker { key, origin, flow, columns, days: Mutex::default() }))
}

fn lineage(spec: &Generate, parent: &config::Parent, maker: Arc<Maker>, zone: Tz) -> Lineage {
    let curve = spec.curve.as_ref();
    let schema = maker.columns.schema.clone();
    let minutes = |span: Span| span.get().as_secs().div_ceil(60) as i64;
    let placing = |delay: &Delay| match delay {
        Delay::Around(mean) => Placing::around(minutes(*mean), curve, zone),
        Delay::Exactly(delay) => Placing::Exactly(minutes(delay.exactly)),
        Delay::Days(delay) => Placing::Days(schema.index_of(&delay.days).unwrap_or_default()),
    };
    let following = |follow: &config::Follow| Following {
        chance: follow.chance,
        placing: placing(&follow.delay),
        most: follow.most.unwrap_or(1),
    };
    Lineage {
        when: parent.when.as_deref().and_then(|text| Condition::parse(text).ok()),
        chance: parent.chance.unwrap_or(1.0),
        placing: placing(&parent.delay),
        follow: parent.follow.as_ref().map(following),
        inherited: parent.columns.values().filter_map(|name| schema.index_of(name).ok()).collect(),
        parent: maker,
    }
}

#[cfg(test)]
mod problem_tests;
#[cfg(test)]
mod tests;
