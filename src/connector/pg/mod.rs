//! What speaks PostgreSQL: sessions, TLS, binary COPY both ways, types, names, tables as sources and sinks. Shared by the connectors
//! of its servers, which add what users write about them.

mod catalog;
mod client;
mod commit;
mod decode;
mod encode;
mod error;
mod filter;
mod key;
mod name;
mod numeric;
mod parts;
mod plan;
mod read;
mod record;
mod scan;
mod selection;
mod settings;
mod source;
mod table;
mod target;
mod tls;
mod types;
mod witness;
mod write;

pub mod config;

pub(crate) use self::{
    catalog::Catalog,
    client::Server,
    error::failed,
    name::{check_table, literal, quote},
    settings::Settings,
    source::TableSource,
    table::Table,
    write::TableSink,
};
