//! Users as a table for people and programs: what `/users` and `vitrina users export` write, and `vitrina users import` reads.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::state::bot::users::{Standing, User};

/// The columns, in order. Several roles or values are parted by `|`.
const HEADER: [&str; 8] = ["id", "name", "username", "standing", "roles", "attributes", "expires", "zone"];

/// A user as the table has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Telegram's id.
    pub id: i64,
    /// As people call them; empty = as they call themselves.
    pub name: String,
    /// Whether they are in.
    pub standing: Standing,
    /// Names of roles.
    pub roles: Vec<String>,
    /// Values by attribute.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// From then on they are out.
    pub expires: Option<DateTime<Utc>>,
    /// Their time zone.
    pub zone: Option<String>,
}

/// Writes a table.
pub fn write(users: &[User]) -> String {
    let mut writer = csv::Writer::from_writer(vec![]);
    // Writing into memory cannot fail.
    let _ = writer.write_record(HEADER);
    for user in users {
        let attributes: Vec<String> =
            user.attributes.iter().map(|(name, values)| format!("{name}={}", values.join("|"))).collect();
        let _ = writer.write_record([
            user.id.to_string(),
            safe(&user.name),
            safe(user.username.as_deref().unwrap_or_default()),
            user.standing.as_str().to_owned(),
            user.roles.join("|"),
            attributes.join(";"),
            user.expires.map(|at| at.to_rfc3339()).unwrap_or_default(),
            user.zone.clone().unwrap_or_default(),
        ]);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// Reads a table whole, or says what is wrong with it and in which line. Only `id` must be there; who has roles is a member.
pub fn read(text: &str) -> Result<Vec<Listed>, String> {
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header = reader.headers().map_err(|error| format!("line 1: {error}"))?.clone();
    if let Some(unknown) = header.iter().find(|name| !HEADER.contains(name)) {
        return Err(format!("line 1: there is no column `{unknown}`; the columns are {}", HEADER.join(", ")));
    }
    let mut users = vec![];
    for (number, record) in (2..).zip(reader.records()) {
        let record = record.map_err(|error| format!("line {number}: {error}"))?;
        let cell = |name: &str| {
            header
                .iter()
                .position(|known| known == name)
                .and_then(|at| record.get(at))
                .unwrap_or_default()
                .trim()
        };
        users.push(listed(cell).map_err(|what| format!("line {number}: {what}"))?);
    }
    Ok(users)
}

fn listed<'a>(cell: impl Fn(&str) -> &'a str) -> Result<Listed, String> {
    let roles = parts(cell("roles"), '|');
    let standing = match cell("standing") {
        "" if roles.is_empty() => Standing::Seen,
        "" | "member" => Standing::Member,
        "seen" => Standing::Seen,
        "waiting" => Standing::Waiting,
        "denied" => Standing::Denied,
        "blocked" => Standing::Blocked,
        other => return Err(format!("`{other}` is no standing: seen, waiting, member, denied, blocked")),
    };
    let mut attributes = BTreeMap::new();
    for part in parts(cell("attributes"), ';') {
        let (name, values) =
            part.split_once('=').ok_or("attributes are written as name=value|value;name=value")?;
        attributes.insert(name.trim().to_owned(), parts(values, '|'));
    }
    let expires = match cell("expires") {
        "" => None,
        text => Some(instant(text).ok_or_else(|| format!("`{text}` is no time: 2026-12-31T00:00:00Z"))?),
    };
    let zone = Some(cell("zone").to_owned()).filter(|zone| !zone.is_empty());
    if zone.as_ref().is_some_and(|zone| zone.parse::<chrono_tz::Tz>().is_err()) {
        return Err(format!("`{}` is no time zone: Europe/Moscow", cell("zone")));
    }
    let id = cell("id").parse().map_err(|_| "`id` is a Telegram id: a whole number".to_owned())?;
    let name = cell("name").trim_start_matches('\'').to_owned();
    Ok(Listed { id, name, standing, roles, attributes, expires, zone })
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

fn parts(text: &str, separator: char) -> Vec<String> {
    text.split(separator).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// A name that a spreadsheet would take for a formula is text.
fn safe(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_as_written() {
        let user = User {
            id: 7,
            name: "=HYPERLINK(\"x\"), Анна".to_owned(),
            username: Some("anna".to_owned()),
            language: None,
            zone: Some("Asia/Omsk".to_owned()),
            standing: Standing::Member,
            roles: vec!["regional".to_owned(), "content".to_owned()],
            attributes: BTreeMap::from([("region".to_owned(), vec!["mrf1".to_owned(), "mrf2".to_owned()])]),
            expires: DateTime::from_timestamp(1_790_000_000, 0),
            reason: None,
            asked_at: None,
            made_at: DateTime::UNIX_EPOCH,
            reachable: true,
        };
        let text = write(std::slice::from_ref(&user));
        assert!(text.contains("\"'=HYPERLINK"), "{text}");
        let read = read(&text).unwrap();
        let same = Listed {
            id: 7,
            name: user.name,
            standing: user.standing,
            roles: user.roles,
            attributes: user.attributes,
            expires: user.expires,
            zone: user.zone,
        };
        assert_eq!(read, [same]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(read("id\n5\n").unwrap()[0].standing, Standing::Seen);
        assert_eq!(read("id,roles\n5,a|b\n").unwrap()[0].standing, Standing::Member);
        for (text, said) in [
            ("id,role\n", "line 1: there is no column `role`"),
            ("id\n5\nx\n", "line 3: `id` is a Telegram id"),
            ("id,standing\n5,boss\n", "line 2: `boss` is no standing"),
            ("id,expires\n5,soon\n", "line 2: `soon` is no time"),
            ("id,zone\n5,Mars\n", "line 2: `Mars` is no time zone"),
            ("id,attributes\n5,region\n", "line 2: attributes are written"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
