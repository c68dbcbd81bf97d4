//! The mean delay against the budget, as an SVG that follows the reader's light or dark colours.

use std::fmt::Write as _;

/// One curve: its class in the picture, its name, and points of (interval, delay) in seconds.
pub(crate) struct Curve {
    pub(crate) class: &'static str,
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

const PANEL: (f64, f64) = (310.0, 260.0);
const TOP: f64 = 70.0;
const STYLE: &str = "<style>
svg { --ink: #1f2328; --faint: #d0d7de; --ours: #0969da; --bound: #8250df; --even: #6e7781; background: #ffffff }
@media (prefers-color-scheme: dark) {
svg { --ink: #e6edf3; --faint: #30363d; --ours: #58a6ff; --bound: #bc8cff; --even: #8b949e; background: #0d1117 } }
text { font: 12px system-ui, sans-serif; fill: var(--ink) } .title { font-weight: 600 }
.grid { stroke: var(--faint); stroke-width: 1 } path { fill: none; stroke-width: 2 }
.ours { stroke: var(--ours) } .bound { stroke: var(--bound); stroke-dasharray: 6 4 }
.even { stroke: var(--even); stroke-dasharray: 2 3 } circle.ours { fill: var(--ours) }
</style>";

/// A word for so many seconds.
fn words(seconds: f64) -> String {
    if seconds >= 3_600.0 {
        format!("{} h", seconds / 3_600.0)
    } else if seconds >= 60.0 {
        format!("{} min", seconds / 60.0)
    } else {
        format!("{seconds} s")
    }
}

/// Panels side by side, both axes logarithmic, on the same scales.
pub(crate) fn draw(panels: &[(&str, Vec<Curve>)]) -> String {
    let (marks_x, marks_y) = ([60.0, 120.0, 300.0, 600.0, 1_800.0], [1.0, 6.0, 60.0, 600.0]);
    let across = |seconds: f64| (seconds / 60.0).ln() / 30_f64.ln() * PANEL.0;
    let down = |seconds: f64| TOP + PANEL.1 * (1.0 - seconds.ln() / 1_200_f64.ln());
    let width = 80.0 + panels.len() as f64 * (PANEL.0 + 70.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} 390\" role=\"img\" \
         aria-label=\"Mean delay until a change is seen, by budget\">\n{STYLE}\n"
    );
    for (n, (title, curves)) in panels.iter().enumerate() {
        let left = 70.0 + n as f64 * (PANEL.0 + 80.0);
        let bottom = TOP + PANEL.1;
        let _ = writeln!(svg, "<text class=\"title\" x=\"{left}\" y=\"24\">{title}</text>");
        for mark in marks_y {
            let y = down(mark);
            let right = left + PANEL.0;
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                y + 4.0,
                words(mark)
            );
        }
        for mark in marks_x {
            let x = left + across(mark);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                words(mark)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">budget: each feed once in</text>",
            left + PANEL.0 / 2.0,
            bottom + 40.0
        );
        for (line, curve) in curves.iter().enumerate() {
            let x = left + line as f64 * 108.0;
            let class = curve.class;
            let _ = writeln!(
                svg,
                "<path class=\"{class}\" d=\"M{x:.1} 46h22\"/><text x=\"{:.1}\" y=\"50\">{}</text>",
                x + 28.0,
                curve.name
            );
            let places: Vec<String> = curve
                .points
                .iter()
                .map(|(interval, delay)| {
                    format!("{:.1} {:.1}", left + across(*interval), down(*delay))
                })
                .collect();
            let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{}\"/>", places.join("L"));
            if class == "ours" {
                for place in places {
                    let (x, y) = place.split_once(' ').unwrap_or_default();
                    let _ = writeln!(svg, "<circle class=\"ours\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>");
                }
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}
