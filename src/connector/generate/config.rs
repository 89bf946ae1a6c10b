//! What users write about synthetic rows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[source.generate]`: synthetic rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// Other seeds give other rows.
    pub seed: u64,
}

impl Generate {
    /// The columns of its rows.
    pub fn schema(&self) -> arrow::datatypes::SchemaRef {
        todo!()
    }
}
