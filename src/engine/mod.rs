//! The SQL engine: one DataFusion session over all connections. A leaf for `config` (typing SQL offline), `run` and `cli`.
