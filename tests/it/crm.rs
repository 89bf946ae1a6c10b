//! The shipped sales CRM as the profile `services` has it: the bots' files → Kafka → PostgreSQL → workbooks.

use std::collections::BTreeSet;

use calamine::{DataType, Reader, Xlsx};
use chrono::{Days, Utc};
use rusqlite::Connection;

use crate::support::{
    kafka::Cluster,
    postgres::{Place, quote},
    project::Sandbox,
};

const REGIONS: [&str; 3] = ["mrf1", "mrf2", "mrf3"];

/// The project, in topics and a schema of its own.
struct Crm {
    here: Sandbox,
    cluster: Cluster,
    warehouse: Place,
}

impl Crm {
    /// Ten weeks of history, a tenth of the shipped rows.
    fn new() -> Self {
        let (cluster, warehouse, here) = (Cluster::new(), Place::new(), Sandbox::new(&[]));
        here.must(&["init", "p", "--template", "crm"]);
        let edit = |file: &str, old: &str, new: &str| {
            let file = here.path("p").join(file);
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.contains(old), "{old} in {}", file.display());
            std::fs::write(file, text.replacen(old, new, 1)).unwrap();
        };
        let start = Utc::now().date_naive().checked_sub_days(Days::new(70)).unwrap();
        edit("pipelines/crm_actions.toml", "start = 2026-01-01", &format!("start = {start}"));
        edit("pipelines/crm_actions.toml", "per_day = 2000", "per_day = 200");
        let keys = [
            ("stream", format!("prefix = \"{}\"", cluster.prefix)),
            ("warehouse", format!("schema = '{}'", warehouse.schema)),
        ];
        for (name, key) in keys {
            let head = format!("[profile.services.connections.{name}]\n");
            edit("vitrina.toml", &head, &format!("{head}{key}\n"));
        }
        Self { here, cluster, warehouse }
    }

    fn vitrina(&self, arguments: &[&str]) -> String {
        self.here.must(&[&["--project", "p", "--profile", "services"], arguments].concat())
    }

    /// The first column of what a bot's file answers.
    fn bot(&self, region: &str, file: &str, sql: &str) -> Vec<i64> {
        let file = Connection::open(self.here.path(&format!("p/data/crm/{region}/{file}.db"))).unwrap();
        let mut rows = file.prepare(sql).unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// The ids of a table in the warehouse, each as often as it is there.
    async fn warehouse(&self, table: &str) -> Vec<i64> {
        let sql = format!("SELECT id FROM {} ORDER BY id", quote(table));
        let rows = self.warehouse.stranger().await.query(&sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Every row of the bots is in the log and in the warehouse once, but for those that are left out by what the pipelines say.
    async fn agrees(&self) {
        for region in REGIONS {
            let all = self.bot(region, "actions", "SELECT id FROM actions ORDER BY id");
            assert!(all.len() > 3_000, "{region}: {} actions", all.len());
            assert_eq!(self.cluster.messages(&format!("crm.actions.{region}")).len(), all.len(), "{region}");
            let kept = "SELECT id FROM actions WHERE action <> 'test' AND manager_id IS NOT NULL ORDER BY id";
            let kept = self.bot(region, "actions", kept);
            assert!(kept.len() < all.len() && kept.iter().collect::<BTreeSet<_>>().len() == kept.len());
            assert_eq!(self.warehouse(&format!("crm_bot_actions_{region}")).await, kept, "{region}");
            let services = self.bot(region, "nature", "SELECT id FROM services ORDER BY id");
            assert!(services.len() > 100, "{region}: {} services", services.len());
            assert_eq!(self.warehouse(&format!("crm_bot_nature_{region}")).await, services, "{region}");
        }
    }

    /// Each region has its two workbooks, and the one of its actions counts those of last month.
    fn books_agree(&self) {
        for region in REGIONS {
            let book = |name: &str| self.here.path(&format!("p/data/dashboards/{name}_{region}.xlsx"));
            let mut actions: Xlsx<_> = calamine::open_workbook(book("actions")).unwrap();
            let days = actions.worksheet_range("По дням").unwrap();
            let of_days = days.rows().filter(|row| row[0].is_datetime() || row[0].is_float());
            let counted: f64 = of_days.filter_map(|row| row[1].as_f64()).sum();
            let month = "SELECT count(*) FROM actions WHERE action <> 'test' AND manager_id IS NOT NULL \
                         AND date(happened_at, '+3 hours') >= date('now', '+3 hours', 'start of month', '-1 month') \
                         AND date(happened_at, '+3 hours') < date('now', '+3 hours', 'start of month')";
            let expected = self.bot(region, "actions", month)[0];
            assert!(expected > 1_000, "{region}: {expected} actions last month");
            assert_eq!(counted as i64, expected, "{region}");
            let nature: Xlsx<_> = calamine::open_workbook(book("nature")).unwrap();
            assert!(!nature.sheet_names().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bots_reach_kafka_postgres_and_workbooks_once() {
    let crm = Crm::new();
    crm.vitrina(&["check"]);
    crm.vitrina(&["run", "--all"]);
    crm.agrees().await;
    crm.books_agree();
    crm.vitrina(&["run", "--all"]);
    crm.agrees().await;
}
