//! How DataFusion is set up: one builder for typing offline, for queries and for transforms.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use chrono_tz::Tz;
use datafusion::{
    execution::{SessionState, SessionStateBuilder, config::SessionConfig, runtime_env::RuntimeEnv},
    logical_expr::ScalarUDF,
};

use super::functions;

/// The state that SQL of this zone is judged with; made once per zone.
pub(super) fn offline(zone: Tz) -> Arc<SessionState> {
    static STATES: LazyLock<Mutex<HashMap<Tz, Arc<SessionState>>>> = LazyLock::new(Mutex::default);
    let mut states = STATES.lock().unwrap_or_else(PoisonError::into_inner);
    let state = states.entry(zone).or_insert_with(|| {
        Arc::new(builder(zone, config(1, usize::MAX), Arc::new(RuntimeEnv::default())).build())
    });
    Arc::clone(state)
}

/// What a sort keeps free to merge what it spilled; less where there is little memory.
const MERGE_BYTES: usize = 10 << 20;
/// Rows that fill no more than one part in so many of the memory are sorted at once, instead of batch by batch and merged: that takes their memory twice.
const AT_ONCE: usize = 16;
/// Sorts that may go on at once in half of the memory.
const SORTS: usize = 64;

/// Settings that hold for every plan of ours; `memory` = bytes that all together may hold.
pub(super) fn config(threads: usize, memory: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let options = config.options_mut();
    // Names are as written, in every alphabet and case.
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    // Delta's partition columns are dictionaries, which lists pushed down from a join do not match.
    options.optimizer.hash_join_inlist_pushdown_max_size = 0;
    // Instants are of UTC everywhere, so their types agree; people's days come from functions.
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.sort_spill_reservation_bytes = MERGE_BYTES.min(memory / 2 / SORTS);
    options.execution.sort_in_place_threshold_bytes = memory / AT_ONCE;
    config
}

/// A session state with every function of DataFusion's and ours.
pub(super) fn builder(zone: Tz, config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionStateBuilder {
    let mut builder =
        SessionStateBuilder::new_with_default_features().with_config(config).with_runtime_env(runtime);
    let ours: Vec<Arc<ScalarUDF>> = functions::all(zone);
    if let Some(functions) = builder.scalar_functions() {
        functions.extend(ours);
    }
    builder
}
