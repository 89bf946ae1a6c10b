//! Which rights of those that the project needs are held: asked of the server's own functions, so that roles, owners and superusers count as they do there.

use std::sync::Arc;

use super::{
    client::{Lease, Server},
    dialect::Dialect,
    error::failed,
    name::{literal, quote},
    table::{Table, qualified},
    target::is_indexed,
};
use crate::{
    connector::{
        error::Result,
        records::RECORDS,
        rights::{Right, Use},
        sink::{OnSchemaChange, SinkSpec},
        source::SourceSpec,
    },
    model::{column::Unlisted, delivery::Mode},
};

/// The rights that these need.
pub(crate) async fn of(server: &Arc<Server>, uses: &[Use]) -> Result<Vec<Right>> {
    let lease = server.lease().await?;
    let dialect = server.dialect;
    let mut found = vec![];
    for (of, used) in uses.iter().enumerate() {
        let (schema, table) = used.table();
        let schema = schema.unwrap_or(&server.config.schema);
        let target = Asked::look(&lease, of, (schema, table), &listed(used)).await?;
        match used {
            Use::Query { .. } => found.extend(target.reading(true)),
            Use::Source(spec) => found.extend(target.reading(spec.cursor.is_some())),
            Use::Sink(spec, _) => {
                found.extend(target.writing(dialect, spec));
                if spec.mode == Mode::Merge && target.facts.table && !target.facts.owner {
                    found.extend(target.key_index(&lease, spec).await?);
                }
                let records = Asked::look(&lease, of, (schema, RECORDS), &Listed::Any).await?;
                found.extend(records.recording(dialect));
                let staging = records.staging(&lease).await?;
                let copied = spec.mode == Mode::Append && !spec.checked;
                found.push(if copied {
                    staging.only("to stage what COPY does not take as it is")
                } else {
                    staging
                });
            }
        }
    }
    lease.give_back();
    Ok(found)
}

/// The rights to make tables in a schema.
pub(crate) async fn making(lease: &Lease, of: usize, schema: &str) -> Result<Vec<Right>> {
    let asked = Asked::look(lease, of, (schema, ""), &Listed::Any).await?;
    let making = asked.facts.schema.then(|| asked.making());
    Ok([asked.entering()].into_iter().chain(making).collect())
}

/// The columns that a reader names.
enum Listed<'a> {
    /// Some: only its SQL knows them.
    Any,
    /// These.
    These(Vec<&'a str>),
    /// All that there are.
    All,
}

fn listed(used: &Use) -> Listed<'_> {
    match used {
        Use::Source(spec) => source_columns(spec),
        Use::Query { .. } | Use::Sink(..) => Listed::Any,
    }
}

fn source_columns(spec: &SourceSpec) -> Listed<'_> {
    let Some(contract) = spec.contract.as_ref().filter(|contract| contract.unlisted == Unlisted::Drop) else {
        return Listed::All;
    };
    let cursor = spec.cursor.iter().flat_map(|cursor| [Some(&cursor.column), cursor.tie.as_ref()]).flatten();
    Listed::These(contract.columns.keys().chain(cursor).map(String::as_str).collect())
}

/// What the server says of a table and its schema.
struct Facts {
    schema: bool,
    usage: bool,
    create: bool,
    table: bool,
    owner: bool,
    /// Privileges on the table that are held.
    held: Vec<&'static str>,
    /// Whether the columns that are named may be read.
    columns: bool,
}

/// Privileges on a table.
const PRIVILEGES: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// A table with what is known of it.
struct Asked<'a> {
    of: usize,
    schema: &'a str,
    table: &'a str,
    user: String,
    database: String,
    facts: Facts,
}

impl<'a> Asked<'a> {
    async fn look(
        lease: &Lease,
        of: usize,
        (schema, table): (&'a str, &'a str),
        listed: &Listed<'_>,
    ) -> Result<Self> {
        let server = &lease.server;
        let sql = question(schema, table, listed);
        let row = lease.row(&sql).await.map_err(|error| failed(&server.table_shown(schema, table), error))?;
        let row = row.unwrap_or_default();
        let told = |at: usize| row.get(at).and_then(Option::as_deref) == Some("t");
        let held = PRIVILEGES.iter().enumerate().filter(|(at, _)| told(6 + at));
        let facts = Facts {
            schema: told(0),
            usage: told(1),
            create: told(2),
            table: told(3),
            owner: told(4),
            columns: told(5),
            held: held.map(|(_, privilege)| *privilege).collect(),
        };
        let (user, database) = (quote(&server.config.user), quote(&server.config.database));
        Ok(Self { of, schema, table, user, database, facts })
    }

    fn sql(&self) -> String {
        qualified(self.schema, self.table)
    }

    fn right(&self, what: &str, on: &str, held: bool) -> Right {
        let mend = format!("GRANT {what} ON {on} TO {}", self.user);
        Right::new(self.of, format!("{what} on {on}"), held, mend)
    }

    fn on_table(&self, privilege: &str) -> Right {
        self.right(privilege, &self.sql(), self.facts.held.contains(&privilege))
    }

    /// The schema, which comes before everything in it.
    fn entering(&self) -> Right {
        let schema = quote(self.schema);
        if !self.facts.schema {
            let mend = format!("CREATE SCHEMA {schema} AUTHORIZATION {}", self.user);
            return Right::new(self.of, format!("a schema {schema}"), false, mend);
        }
        self.right("USAGE", &format!("SCHEMA {schema}"), self.facts.usage)
    }

    fn making(&self) -> Right {
        self.right("CREATE", &format!("SCHEMA {}", quote(self.schema)), self.facts.create)
    }

    /// `by_columns`: whether rights on single columns will do. Of a table that is not there nothing is said: that is no right that is missing.
    fn reading(&self, by_columns: bool) -> Vec<Right> {
        let mut rights = vec![self.entering()];
        if self.facts.table {
            let mut select = self.on_table("SELECT");
            select.held |= by_columns && self.facts.columns;
            rights.push(select);
        }
        rights
    }

    fn writing(&self, dialect: &dyn Dialect, spec: &SinkSpec) -> Vec<Right> {
        let mut rights = vec![self.entering()];
        if !self.facts.schema {
            return rights;
        }
        if !self.facts.table {
            rights.push(self.making());
            return rights;
        }
        let changes = match spec.mode {
            Mode::Append => &["INSERT"],
            Mode::Merge => dialect.merge_rights(spec),
            Mode::Replace | Mode::Window => &["INSERT", "DELETE"] as &[_],
        };
        rights.extend(["SELECT"].iter().chain(changes).map(|privilege| self.on_table(privilege)));
        if spec.on_schema_change == OnSchemaChange::Evolve {
            rights.push(self.owning().only("to add columns and widen types"));
        }
        rights
    }

    fn recording(&self, dialect: &dyn Dialect) -> Vec<Right> {
        match (self.facts.schema, self.facts.table) {
            (false, _) => vec![],
            (true, false) => vec![self.making()],
            (true, true) => dialect.record_rights().iter().map(|right| self.on_table(right)).collect(),
        }
    }

    fn owning(&self) -> Right {
        let mend = format!("ALTER TABLE {} OWNER TO {}", self.sql(), self.user);
        Right::new(self.of, format!("ownership of {}", self.sql()), self.facts.owner, mend)
    }

    /// A merge finds its rows by a unique index, which only the owner can make.
    async fn key_index(&self, lease: &Lease, spec: &SinkSpec) -> Result<Option<Right>> {
        let failed = |error| failed(&lease.server.table_shown(self.schema, self.table), error);
        let columns = spec.key.iter().map(|key| quote(key)).collect::<Vec<_>>().join(", ");
        let Some(_) = lease.server.dialect.create_key("", &self.sql(), &columns) else { return Ok(None) };
        let Some(table) = Table::find(lease, self.schema, self.table).await.map_err(failed)? else {
            return Ok(None);
        };
        let held = is_indexed(lease, &table, &spec.key).await.map_err(failed)?;
        let mend = format!("CREATE UNIQUE INDEX ON {} ({columns})", self.sql());
        let what = format!("a unique index on {} ({columns}), or to own the table", self.sql());
        Ok(Some(Right::new(self.of, what, held, mend)))
    }

    /// Rows that replace others wait in a temporary table.
    async fn staging(&self, lease: &Lease) -> Result<Right> {
        let sql = "SELECT has_database_privilege(current_database(), 'TEMPORARY')";
        let held = lease.cell(sql).await.map_err(|error| failed(&lease.server.shown(), error))?;
        Ok(self.right("TEMPORARY", &format!("DATABASE {}", self.database), held.as_deref() == Some("t")))
    }
}

/// One row of answers, in the order of [`Asked::look`].
fn question(schema: &str, table: &str, listed: &Listed<'_>) -> String {
    let privileges =
        PRIVILEGES.map(|privilege| format!("coalesce(has_table_privilege(c.oid, '{privilege}'), false)"));
    let unreadable = |names: &str| {
        format!(
            "c.oid IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
             AND NOT a.attisdropped AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT'){names})"
        )
    };
    let columns = match listed {
        Listed::Any => "coalesce(has_any_column_privilege(c.oid, 'SELECT'), false)".to_owned(),
        Listed::All => unreadable(""),
        Listed::These(names) => {
            let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
            unreadable(&format!(" AND a.attname IN ({})", names.join(", ")))
        }
    };
    format!(
        "SELECT n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'USAGE'), false), coalesce(has_schema_privilege(n.oid, 'CREATE'), false), \
         c.oid IS NOT NULL, coalesce(pg_has_role(c.relowner, 'USAGE'), false), {columns}, {} \
         FROM (SELECT {}::name AS schema, {}::name AS name) AS wanted \
         LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema \
         LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
        privileges.join(", "),
        literal(schema),
        literal(table),
    )
}
