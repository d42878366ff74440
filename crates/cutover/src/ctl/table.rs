//! Plain tables: columns without lines, so that they can be read by people and cut by programs.

use comfy_table::{ContentArrangement, Table, presets};

/// Lays out `rows` under `header`. Only a terminal's width limits the columns.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A cell that may have nothing to say.
pub(super) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

/// A time as people read it: `2026-11-22 10:00:00`, in UTC.
pub(super) fn time(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// How long it is until a time: `25s`; "over" when it is past.
pub(super) fn until(text: Option<&str>, now: jiff::Timestamp) -> String {
    let Some(time) = text.and_then(|text| text.parse::<jiff::Timestamp>().ok()) else {
        return "-".to_owned();
    };
    match time.as_second() - now.as_second() {
        seconds if seconds < 0 => "over".to_owned(),
        seconds if seconds < 120 => format!("{seconds}s"),
        seconds if seconds < 7200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_without_trailing_blanks() {
        let text = table(
            &["NAME", "EPOCH"],
            [vec!["web".into(), "1".into()], vec!["a-long-one".into(), "12".into()]],
        );
        assert_eq!(text, "NAME        EPOCH\nweb         1\na-long-one  12\n");
    }

    #[test]
    fn times_are_short() {
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        let times = [
            "2026-11-22T10:00:25.5Z",
            "2026-11-22T10:30:00Z",
            "2026-11-22T18:00:00Z",
            "2026-11-22T09:00:00Z",
        ];
        assert_eq!(times.map(|time| until(Some(time), now)), ["25s", "30m", "8h", "over"]);
        assert_eq!(until(None, now), "-");
        assert_eq!(time("2026-11-22T10:00:25.512Z"), "2026-11-22 10:00:25");
    }
}
