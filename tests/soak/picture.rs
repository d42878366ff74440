//! The curves as a picture: memory above, descriptors below, and what happened to cutover meanwhile.

use std::fmt::Write as _;
use std::time::Duration;

use super::curve::Sample;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
/// The height of each of both plots, and where they begin.
const HEIGHT: f64 = 150.0;
const TOPS: [f64; 2] = [60.0, 260.0];
/// Lines across a plot, without the one at its foot.
const LINES: u32 = 4;
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#444}.t{font-weight:600;fill:#111}.g{stroke:#ddd}\
.a{fill:none;stroke:#1f6feb;stroke-width:1.5}.b{fill:none;stroke:#bf5b00;stroke-width:1.5}.m{stroke:#999;stroke-dasharray:3 3}\
@media(prefers-color-scheme:dark){text{fill:#aaa}.t{fill:#eee}.g{stroke:#333}.m{stroke:#666}}";

/// Points of a curve: of each stretch of time between two the largest value is shown.
const POINTS: usize = 600;

/// An SVG of its own. A dashed line is where another process took over.
pub(crate) fn draw(title: &str, samples: &[Sample]) -> String {
    let end = samples.last().map_or(1.0, |sample| sample.at.as_secs_f64()).max(1.0);
    let across = |at: Duration| LEFT + at.as_secs_f64() / end * (WIDTH - LEFT - RIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} 460\" role=\"img\" aria-label=\"{title}\">\
         <title>{title}</title><style>{STYLE}</style><text class=\"t\" x=\"{LEFT}\" y=\"24\">{title}</text>\n"
    );
    let samples = thin(samples);
    let values = |value: fn(&Sample) -> f64| -> Vec<(Duration, f64)> {
        samples.iter().map(|sample| (sample.at, value(sample))).collect()
    };
    let mib = values(|sample| sample.rss_kib as f64 / 1024.0);
    let descriptors = values(|sample| sample.descriptors as f64);
    let pids: Vec<u32> = samples.iter().map(|sample| sample.pid).collect();
    for (top, class, name, values) in
        [(TOPS[0], "a", "resident memory, MiB", &mib), (TOPS[1], "b", "open descriptors", &descriptors)]
    {
        plot(&mut svg, top, name, values.iter().map(|(_, value)| *value).fold(1.0, f64::max));
        let most = ceiling(values.iter().map(|(_, value)| *value).fold(1.0, f64::max));
        let down = |value: f64| top + HEIGHT - value / most * HEIGHT;
        for life in lives(&pids) {
            let points =
                values[life].iter().map(|(at, value)| format!("{:.1},{:.1}", across(*at), down(*value)));
            let _ = writeln!(
                svg,
                "<polyline class=\"{class}\" points=\"{}\"/>",
                points.collect::<Vec<_>>().join(" ")
            );
        }
        for life in lives(&pids).into_iter().skip(1) {
            let x = across(values[life.start].0);
            let _ = writeln!(
                svg,
                "<line class=\"m\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{}\"/>",
                top + HEIGHT
            );
        }
    }
    let foot = TOPS[1] + HEIGHT + 20.0;
    let step = minutes(end);
    for minute in (0..).step_by(step).take_while(|minute| *minute as f64 * 60.0 <= end) {
        let x = across(Duration::from_secs(minute as u64 * 60));
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{foot}\" text-anchor=\"middle\">{minute} min</text>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\">dashed: killed or upgraded, another process serves</text></svg>",
        foot + 22.0
    );
    svg
}

fn plot(svg: &mut String, top: f64, name: &str, most: f64) {
    let most = ceiling(most);
    for line in 0..=LINES {
        let share = f64::from(line) / f64::from(LINES);
        let y = top + HEIGHT - share * HEIGHT;
        let _ = writeln!(
            svg,
            "<line class=\"g\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{:.0}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            most * share
        );
    }
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\">{name}</text>", top - 8.0);
}

/// Fewer samples, none of two processes.
fn thin(samples: &[Sample]) -> Vec<Sample> {
    let stretch = samples.len().div_ceil(POINTS).max(1);
    let lives = samples.chunk_by(|one, next| one.pid == next.pid);
    let most = |part: &[Sample]| {
        let rss_kib = part.iter().map(|sample| sample.rss_kib).max()?;
        let descriptors = part.iter().map(|sample| sample.descriptors).max()?;
        part.first().map(|first| Sample { rss_kib, descriptors, ..*first })
    };
    lives.flat_map(|life| life.chunks(stretch)).filter_map(most).collect()
}

/// A round number that is not smaller, and a multiple of four.
fn ceiling(value: f64) -> f64 {
    let steps = [4.0, 8.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 160.0, 200.0, 300.0, 400.0, 600.0, 800.0];
    steps.into_iter().find(|step| *step >= value).unwrap_or_else(|| (value / 1_000.0).ceil() * 1_000.0)
}

/// Minutes between two marks, so that there are not more than ten.
fn minutes(seconds: f64) -> usize {
    [1, 2, 5, 10, 30].into_iter().find(|step| seconds / 60.0 / *step as f64 <= 10.0).unwrap_or(60)
}

/// Where in the samples each process begins and ends.
fn lives(pids: &[u32]) -> Vec<std::ops::Range<usize>> {
    let mut start = 0;
    let chunks = pids.chunk_by(|one, next| one == next);
    chunks
        .map(|chunk| {
            start += chunk.len();
            start - chunk.len()..start
        })
        .collect()
}

#[test]
fn each_life_is_a_line_of_its_own_within_its_plot() {
    let sample = |second: u64| Sample {
        at: Duration::from_secs(second),
        pid: if second < 50 { 1 } else { 2 },
        rss_kib: 30_000 + second,
        descriptors: 80,
    };
    let svg = draw("a run", &(0..100).map(sample).collect::<Vec<_>>());
    assert_eq!(svg.matches("<polyline").count(), 4);
    assert_eq!(svg.matches("class=\"m\"").count(), 2);
    assert_eq!(svg.matches(" min</text>").count(), 2);
    let ys = svg
        .split("points=\"")
        .skip(1)
        .flat_map(|rest| rest.split('"').next().unwrap_or_default().split([' ']));
    assert!(
        ys.map(|point| point.split_once(',').unwrap().1.parse::<f64>().unwrap())
            .all(|y| (60.0..=410.0).contains(&y))
    );
}
