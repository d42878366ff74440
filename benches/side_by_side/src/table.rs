//! The tables, in Markdown, so that they can be kept in a page as they are printed.

use std::fmt::Write as _;

use crate::figures::{Against, Better, Figure, median, quartiles, spread};
use crate::peers::Peer;
use crate::run::{Plan, Results};

/// Every figure of every proxy: median over the slices, and how far they lie apart. Those about TLS and HTTP/2 are in a second table.
pub(crate) fn values(plan: &Plan, results: &Results, versions: impl Fn(Peer) -> String) -> Vec<String> {
    let (edge, clear): (Vec<Figure>, Vec<Figure>) =
        measured(plan).into_iter().partition(|figure| figure.is_edge());
    [clear, edge]
        .iter()
        .filter(|figures| !figures.is_empty())
        .map(|figures| rows(plan, results, &versions, figures))
        .collect()
}

fn rows(plan: &Plan, results: &Results, versions: impl Fn(Peer) -> String, figures: &[Figure]) -> String {
    let mut text = String::from("| proxy |");
    for figure in figures {
        let _ = write!(text, " {} |", figure.title());
    }
    let _ = write!(text, "\n|---|{}\n", "---|".repeat(figures.len()));
    let is_about = |peer: &Peer| {
        plan.loads.iter().any(|load| peer.serves(*load) && figures.contains(&load.figures()[0]))
    };
    for peer in plan.peers.iter().copied().filter(is_about) {
        let _ = write!(text, "| {} {} |", peer.name(), versions(peer));
        for &figure in figures {
            let _ = write!(text, " {} |", cell(results, peer, figure));
        }
        text.push('\n');
    }
    text
}

/// Ratios to nginx, to the better of nginx and HAProxy and to the best of all, with the goals that are met.
pub(crate) fn ratios(plan: &Plan, results: &Results) -> String {
    let mut text = String::from(
        "| cutover, of | nginx | better of nginx, HAProxy | best peer | bar | aim | |\n|---|---|---|---|---|---|---|\n",
    );
    for &peer in plan.peers.iter().filter(|peer| peer.is_cutover()) {
        let measured = measured(plan).into_iter().filter(|figure| {
            plan.loads.iter().any(|load| peer.serves(*load) && load.figures().contains(figure))
        });
        for figure in measured {
            let name = if peer == Peer::Cutover {
                figure.title().to_owned()
            } else {
                format!("{}, logging", figure.title())
            };
            let _ = writeln!(text, "| {name} |{}", verdict(results, peer, figure));
        }
    }
    text
}

/// The same table with its columns aligned, which Markdown doesn't need and readers of a terminal do.
pub(crate) fn aligned(table: &str) -> String {
    let rows: Vec<Vec<&str>> = table.lines().map(cells).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let length = |cell: &&str| cell.chars().count();
    let width = |column| rows.iter().filter_map(|row| row.get(column)).map(length).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = match *cell {
                "---" => write!(text, "|{:-<1$}", "", width + 2),
                cell => write!(text, "| {cell:width$} "),
            };
        }
        text.push_str("|\n");
    }
    text
}

fn cells(row: &str) -> Vec<&str> {
    let row = row.strip_prefix('|').unwrap_or(row);
    row.strip_suffix('|').unwrap_or(row).split('|').map(str::trim).collect()
}

/// Why figures are missing, a line each.
pub(crate) fn invalid(results: &Results) -> String {
    let mut text = String::new();
    for invalid in &results.invalid {
        let (peer, load) = (invalid.peer.name(), invalid.load.name());
        let _ = writeln!(text, "INVALID: {peer}, {load}, round {}: {}", invalid.round, invalid.reason);
    }
    text
}

fn measured(plan: &Plan) -> Vec<Figure> {
    let is_measured = |figure: &Figure| plan.loads.iter().any(|load| load.figures().contains(figure));
    Figure::ALL.into_iter().filter(is_measured).collect()
}

fn cell(results: &Results, peer: Peer, figure: Figure) -> String {
    if results.is_invalid(peer, figure) {
        return "invalid".to_owned();
    }
    let Some(values) = results.valid(peer, figure) else { return "–".to_owned() };
    format!("{} ±{:.0}%", rounded(median(values)), spread(values) * 100.0)
}

fn verdict(results: &Results, peer: Peer, figure: Figure) -> String {
    let Some(ours) = results.valid(peer, figure) else { return " – | – | – | | | |".to_owned() };
    let others: Vec<Peer> =
        Peer::ALL.into_iter().filter(|peer| !peer.is_cutover() && *peer != Peer::Direct).collect();
    // Beside the one of them that it is worst beside.
    let to_hardest = |peers: &[Peer]| {
        let ratios = peers.iter().filter_map(|peer| Ratio::of(ours, results.valid(*peer, figure)?));
        ratios.reduce(|a, b| if figure.better().is_worse(b.median, a.median) { b } else { a })
    };
    let to_nginx = to_hardest(&[Peer::Nginx]);
    let to_better = to_hardest(&[Peer::Nginx, Peer::Haproxy]);
    let to_best = to_hardest(&others);
    let goal = figure.goal().map_or(" | | ".to_owned(), |goal| {
        let held = match goal.against {
            Against::Nginx => to_nginx.as_ref().map(|ratio| ratio.median),
            Against::BetterOfTwo => to_better.as_ref().map(|ratio| ratio.median),
            Against::BestPeer => to_best.as_ref().map(|ratio| ratio.median),
            Against::Nothing => Some(median(ours)),
        };
        let sign = if figure.better() == Better::Less { '≤' } else { '≥' };
        let reached = |goal| held.is_some_and(|held| figure.better().reaches(held, goal));
        let judged = match (held, goal.aim) {
            (None, _) => "not measured",
            (_, Some(aim)) if reached(aim) => "aim met",
            _ if reached(goal.bar) => "bar met",
            _ => "MISSED",
        };
        let aim = goal.aim.map_or(String::new(), |aim| format!("{sign} {aim}"));
        format!("{sign} {} | {aim} | {judged}", goal.bar)
    });
    let shown = |ratio: Option<Ratio>| ratio.map_or("–".to_owned(), |Ratio { text, .. }| text);
    format!(" {} | {} | {} | {goal} |", shown(to_nginx), shown(to_better), shown(to_best))
}

/// What a figure is of the same of another proxy.
struct Ratio {
    median: f64,
    /// With the quartiles, where there are enough for them to say anything.
    text: String,
}

impl Ratio {
    /// The ratios slice by slice, of two proxies that took turns: what disturbed both falls out.
    fn of(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        const ENOUGH: usize = 8;
        let is_paired = ours.len() == theirs.len() && ours.iter().chain(theirs).all(|value| *value > 0.0);
        if !is_paired {
            // What a proxy adds to a latency may be less than nothing now and then.
            let (ours, theirs) = (median(ours), median(theirs));
            let median = (ours > 0.0 && theirs > 0.0).then_some(ours / theirs)?;
            return Some(Self { median, text: format!("{median:.2}") });
        }
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        let [low, median, high] = quartiles(&ratios);
        let text = match ratios.len() < ENOUGH {
            true => format!("{median:.2}"),
            false => format!("{median:.2} ({low:.2}–{high:.2})"),
        };
        Some(Self { median, text })
    }
}

/// Three digits that count.
fn rounded(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::error::Error;
    use crate::load::Load;
    use crate::run::Invalid;

    fn plan() -> Plan {
        let peers = vec![Peer::Nginx, Peer::Haproxy, Peer::Cutover];
        Plan { peers, loads: vec![Load::Small, Load::Idle], rounds: 3, time: Duration::from_secs(1) }
    }

    fn results() -> Results {
        let values = BTreeMap::from([
            ((Peer::Nginx, Figure::Request), vec![20.0, 19.0, 21.0]),
            ((Peer::Haproxy, Figure::Request), vec![16.0, 16.0, 16.0]),
            ((Peer::Cutover, Figure::Request), vec![12.0, 11.0, 14.0]),
            ((Peer::Cutover, Figure::Idle), vec![1.2, 1.2, 1.2]),
        ]);
        Results { values, invalid: Vec::new() }
    }

    #[test]
    fn a_cell_shows_the_median_and_the_spread() {
        let text = values(&plan(), &results(), |_| "1".to_owned()).concat();
        assert!(text.contains("| nginx 1 | 20.0 ±5% | – | – |"), "{text}");
        assert!(text.contains("| cutover 1 | 12.0 ±12% | – | 1.20 ±0% |"), "{text}");
    }

    #[test]
    fn a_ratio_is_held_against_its_goal() {
        let text = ratios(&plan(), &results());
        assert!(text.contains("| µs/req | 0.60 | 0.75 | 0.75 | ≤ 0.75 | ≤ 0.68 | bar met |"), "{text}");
        assert!(text.contains("| KiB/idle | – | – | – | ≤ 4 | ≤ 1.5 | aim met |"), "{text}");
        let mut slow = results();
        slow.values.insert((Peer::Cutover, Figure::Request), vec![12.1]);
        assert!(ratios(&plan(), &slow).contains("MISSED"));
    }

    #[test]
    fn aligned_columns_begin_below_each_other() {
        let table = "| a | µs | |\n|---|---|---|\n| longer | 1 | |\n";
        assert_eq!(
            aligned(table),
            "| a      | µs  |     |\n|--------|-----|-----|\n| longer | 1   |     |\n"
        );
    }

    #[test]
    fn an_invalid_load_is_shown_and_judges_nothing() {
        let mut results = results();
        let reason = Error::Status(502).to_string();
        results.invalid.push(Invalid { peer: Peer::Cutover, load: Load::Small, round: 2, reason });
        assert!(values(&plan(), &results, |_| String::new()).concat().contains("| invalid |"));
        assert!(!ratios(&plan(), &results).contains("bar met"));
        assert_eq!(invalid(&results), "INVALID: cutover, small, round 2: an answer with status 502\n");
    }
}
