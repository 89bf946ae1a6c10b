//! What only the connector of Greenplum does. A PostgreSQL server stands in for it; what that cannot take is held against what version 6
//! has by unit tests.

pub(crate) mod played;
pub(crate) mod sent;
#[path = "../../../src/connector/greenplum/version6.rs"]
mod version6;
mod writing;
