//! JUnit XML, as build servers read it: a suite per tested job's member, a case per test.

use std::fmt::Write as _;

use super::Ran;

/// The whole report.
pub(super) fn report(project: &str, ran: &[Ran]) -> String {
    let mut suites: Vec<(&str, Vec<&Ran>)> = vec![];
    for one in ran {
        match suites.iter_mut().find(|(of, _)| *of == one.of) {
            Some((_, cases)) => cases.push(one),
            None => suites.push((&one.of, vec![one])),
        }
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&Ran> = ran.iter().collect();
    let _ = writeln!(xml, "<testsuites name=\"{}\" {}>", escaped(project), counts(&all));
    for (of, cases) in suites {
        let _ = writeln!(xml, "  <testsuite name=\"{}\" {}>", escaped(of), counts(&cases));
        xml.extend(cases.iter().map(|case| testcase(case)));
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn counts(ran: &[&Ran]) -> String {
    let failed = ran.iter().filter(|ran| !ran.passed()).count();
    let seconds: f64 = ran.iter().map(|ran| ran.took.as_secs_f64()).sum();
    format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{seconds:.3}\"", ran.len())
}

fn testcase(ran: &Ran) -> String {
    let (name, of, file) = (escaped(&ran.name), escaped(&ran.of), escaped(&ran.path));
    let head = format!(
        "    <testcase name=\"{name}\" classname=\"{of}\" file=\"{file}\" line=\"{}\" time=\"{:.3}\"",
        ran.line,
        ran.took.as_secs_f64()
    );
    if ran.passed() {
        return head + "/>\n";
    }
    let mut xml = head + ">\n";
    // One a case is what the format allows; the text has everything.
    let first = ran.faults.first().map_or("", |fault| fault.message.as_str());
    let mut lines = vec![ran.place()];
    for fault in &ran.faults {
        lines.push(fault.message.clone());
        lines.extend(fault.lines());
    }
    let _ = writeln!(
        xml,
        "      <failure message=\"{}\">{}</failure>",
        escaped(first),
        escaped(&lines.join("\n"))
    );
    xml.push_str("    </testcase>\n");
    xml
}

/// Text between tags or in an attribute; characters that XML cannot hold become `U+FFFD`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other if other.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn nothing_breaks_out_of_the_xml() {
        assert_eq!(escaped("a < \"b\" & 'c'>\u{1b}\n"), "a &lt; &quot;b&quot; &amp; 'c'&gt;\u{fffd}\n");
    }
}
