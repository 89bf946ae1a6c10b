//! External tables by which segments find us: each made once and used again, since making and dropping tables bloats the catalog.

use std::sync::Arc;

use super::digest;
use crate::connector::{
    error::{Error, Result},
    greenplum::sql,
    pg::{Server, begin_making, declared, failed, qualified},
};

/// An external table as it is to be.
pub(super) struct External<'a> {
    schema: &'a str,
    /// What its name begins with, in whatever form: one of another form has the columns or the place of another time.
    prefix: String,
    name: String,
    /// The statement that makes it.
    create: String,
}

impl<'a> External<'a> {
    /// One to load by: `key` tells whose it is.
    pub(super) fn readable(schema: &'a str, key: &str, columns: &[(String, String)], location: &str) -> Self {
        let form = format!("{} {location}", declared(columns));
        Self::new(schema, format!("_vitrina_load_{key}_"), &form, |table| {
            sql::create_external(table, columns, location)
        })
    }

    /// One to unload rows of so many cells by.
    pub(super) fn writable(schema: &'a str, key: &str, width: usize, location: &str) -> Self {
        Self::new(schema, format!("_vitrina_unload_{key}_"), location, |table| {
            sql::create_writable(table, width, location)
        })
    }

    fn new(schema: &'a str, prefix: String, form: &str, create: impl Fn(&str) -> String) -> Self {
        let name = format!("{prefix}{}", digest(form));
        let create = create(&qualified(schema, &name));
        Self { schema, prefix, name, create }
    }

    /// How SQL names it.
    fn table(&self) -> String {
        qualified(self.schema, &self.name)
    }

    /// Statements by which it takes the place of those that were found; none where it is there.
    fn to_do(&self, found: &[String]) -> Vec<String> {
        if found.contains(&self.name) {
            return vec![];
        }
        let drop = found.iter().map(|old| sql::drop_external(&qualified(self.schema, old)));
        drop.chain([self.create.clone()]).collect()
    }

    /// How SQL names it, once it is there. It is made by a session of its own, since whoever needs it is in a transaction.
    pub(super) async fn made(&self, server: &Arc<Server>, shown: &str) -> Result<String> {
        let lease = server.lease().await?;
        let failed = |error| failed(shown, error);
        let find = sql::find_external(self.schema, &self.prefix);
        let to_do = async || {
            let rows = lease.rows(&find).await.map_err(failed)?;
            let found: Vec<String> =
                rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
            Ok::<_, Error>(self.to_do(&found))
        };
        if !to_do().await?.is_empty() {
            let run = async |sql: &str| lease.run(sql).await.map_err(failed);
            run(&begin_making(self.schema)).await?;
            // Somebody else may have made it before the lock was ours.
            for statement in to_do().await? {
                run(&statement).await?;
            }
            run("COMMIT").await?;
        }
        lease.give_back();
        Ok(self.table())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(columns: &[(&str, &str)]) -> Vec<(String, String)> {
        columns.iter().map(|(name, kind)| (format!("\"{name}\""), (*kind).to_owned())).collect()
    }

    /// What is made where these are found; `named` = one of them is the table itself.
    fn to_do(external: &External<'_>, found: &[&External<'_>]) -> Vec<String> {
        external.to_do(&found.iter().map(|found| found.name.clone()).collect::<Vec<_>>())
    }

    #[test]
    fn a_table_is_made_once_for_each_form() {
        let two = columns(&[("id", "bigint"), ("имя", "text")]);
        let place = "gpfdist://etl:8080/rows";
        let made = External::readable("s", "key", &two, place);
        let create = format!(
            "CREATE READABLE EXTERNAL TABLE \"s\".\"{}\" (\"id\" bigint, \"имя\" text) LOCATION ('{place}') FORMAT 'TEXT' ENCODING 'UTF8'",
            made.name
        );
        assert_eq!(to_do(&made, &[]), std::slice::from_ref(&create));
        assert_eq!(to_do(&External::readable("s", "key", &two, place), &[&made]), Vec::<String>::new());

        let drop = format!("DROP EXTERNAL TABLE IF EXISTS \"s\".\"{}\"", made.name);
        let wider = columns(&[("id", "bigint"), ("имя", "text"), ("сумма", "numeric(12,2)")]);
        let retyped = columns(&[("id", "integer"), ("имя", "text")]);
        for (columns, place) in [
            (&wider, place),
            (&retyped, place),
            (&two, "gpfdist://etl:8081/rows"),
            (&two, "gpfdist://etl2:8080/rows"),
        ] {
            let other = External::readable("s", "key", columns, place);
            assert!(other.name.starts_with(&other.prefix) && other.prefix == made.prefix);
            assert_eq!(to_do(&other, &[&made]), [drop.clone(), other.create.clone()]);
        }
        assert_ne!(External::readable("s", "other", &two, place).prefix, made.prefix);
    }

    #[test]
    fn a_table_to_unload_by_is_made_once_for_each_place() {
        let place = "gpfdist://etl:8080/out";
        let made = External::writable("s", "key", 2, place);
        assert!(made.create.starts_with("CREATE WRITABLE EXTERNAL TABLE \"s\".\"_vitrina_unload_key_"));
        assert_eq!(to_do(&External::writable("s", "key", 2, place), &[&made]), Vec::<String>::new());
        let moved = External::writable("s", "key", 2, "gpfdist://etl:8081/out");
        let drop = format!("DROP EXTERNAL TABLE IF EXISTS \"s\".\"{}\"", made.name);
        assert_eq!(to_do(&moved, &[&made]), [drop, moved.create.clone()]);
    }
}
