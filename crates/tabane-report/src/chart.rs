//! Charts as SVG. They scale with the page, take their colours from its style, and say in words what they show.

use std::fmt::Write;

use maud::{Markup, html};

/// A line over equal steps.
pub(crate) struct Series<'a> {
    /// Of the style: `cpu`, `memory`, `before`, `after`.
    pub class: &'a str,
    pub values: Vec<f64>,
}

/// Areas over time, from 0 to 1 (or the most that there is), with a line at `limit`.
pub(crate) fn curves(label: &str, series: &[Series<'_>], limit: f64) -> Markup {
    const WIDTH: f64 = 480.0;
    const HEIGHT: f64 = 72.0;
    let top = series.iter().flat_map(|s| &s.values).copied().fold(limit.max(1.0), f64::max);
    let y = |value: f64| HEIGHT - value / top * (HEIGHT - 2.0) - 1.0;
    html! {
        svg.curves viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(label) {
            @for series in series {
                path class=(series.class) d=(area(&series.values, WIDTH, HEIGHT, y)) {}
            }
            line.limit x1="0" x2=(WIDTH) y1=(number(y(limit))) y2=(number(y(limit))) {}
            @if limit > 1.0 {
                line.whole x1="0" x2=(WIDTH) y1=(number(y(1.0))) y2=(number(y(1.0))) {}
            }
        }
    }
}

fn area(values: &[f64], width: f64, height: f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = format!("M0 {height}");
    let step = width / values.len().max(1) as f64;
    for (at, value) in values.iter().enumerate() {
        // Each value holds for its whole part of the time line.
        let (from, to, height) = (at as f64 * step, (at + 1) as f64 * step, y(*value));
        let _ = write!(path, "L{} {}L{} {}", number(from), number(height), number(to), number(height));
    }
    let _ = write!(path, "L{} {height}Z", number(width));
    path
}

/// Lines through points with a scale at the left, for sums over years.
pub(crate) fn lines(
    label: &str,
    series: &[Series<'_>],
    steps: &[String],
    told: impl Fn(f64) -> String,
) -> Markup {
    const WIDTH: f64 = 720.0;
    const HEIGHT: f64 = 260.0;
    const LEFT: f64 = 100.0;
    const BOTTOM: f64 = 28.0;
    const TOP: f64 = 12.0;
    const RIGHT: f64 = 32.0;
    let most = nice(series.iter().flat_map(|s| &s.values).copied().fold(0.0, f64::max));
    let x = |at: usize| LEFT + at as f64 * (WIDTH - LEFT - RIGHT) / (steps.len().max(2) - 1) as f64;
    let y = |value: f64| HEIGHT - BOTTOM - value / most * (HEIGHT - BOTTOM - TOP);
    html! {
        svg.lines viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(label) {
            @for part in 0..=4 {
                @let value = most * f64::from(part) / 4.0;
                line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(number(y(value))) y2=(number(y(value))) {}
                text.scale x=(LEFT - 8.0) y=(number(y(value) + 4.0)) text-anchor="end" { (told(value)) }
            }
            @for (at, step) in steps.iter().enumerate() {
                text.scale x=(number(x(at))) y=(HEIGHT - 8.0) text-anchor="middle" { (step) }
            }
            @for series in series {
                @let points: Vec<String> = series.values.iter().enumerate()
                    .map(|(at, value)| format!("{},{}", number(x(at)), number(y(*value)))).collect();
                polyline class=(series.class) points=(points.join(" ")) {}
            }
        }
    }
}

/// The next of 1, 2, 2.5, 5 times a power of ten.
fn nice(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|step| step * power).find(|top| *top >= value).unwrap_or(value)
}

fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_above_what_they_show() {
        assert_eq!([0.0, 1.0, 3.0, 21.0, 260.0].map(nice), [1.0, 1.0, 5.0, 25.0, 500.0]);
        assert_eq!(area(&[0.0, 1.0], 10.0, 10.0, |v| 10.0 - v * 10.0), "M0 10L0 10L5 10L5 0L10 0L10 10Z");
    }
}
