//! What speaks PostgreSQL: sessions, TLS, binary COPY both ways, types, names, tables as sources and sinks. Shared by the connectors
//! of its servers, which add what users write about them.

mod agreement;
mod catalog;
mod client;
mod commit;
mod decode;
mod dialect;
pub(crate) mod encode;
mod error;
mod executor;
mod filter;
mod key;
mod load;
mod name;
mod numeric;
mod parts;
mod plan;
pub(crate) mod probe;
mod read;
mod record;
pub(crate) mod rights;
mod rows;
mod scan;
mod selection;
mod settings;
mod source;
mod stage;
mod table;
mod target;
mod this;
mod tls;
mod types;
mod witness;
mod write;

pub mod config;

pub(crate) use self::{
    catalog::Catalog,
    client::{Lease, Server},
    dialect::{
        Dialect, Merge, NUMBER, Product, RecordRow, STAGE, StagedColumn, Swap, begin_making, declared,
        insert, lock_number,
    },
    error::failed,
    load::{Copy, Load, Stage, blamed},
    name::{check_table, literal, quote},
    read::Query,
    rows::Rows,
    settings::Settings,
    source::{Bulk, TableSource},
    table::{Table, qualified},
    types::Kind,
    write::{Extras, TableSink},
};
