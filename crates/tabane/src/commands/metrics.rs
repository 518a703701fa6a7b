//! `tabane vm top`, `tabane vm metrics`, and the same of hosts.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use anyhow::Result;
use tabane_client::{Call, Question};
use tabane_model::{Metrics, Resource, Series, Usage, format_bytes};

use crate::{
    arguments::{Form, MetricsOf, Top},
    context::Context,
    output,
};

/// Hosts measure no more often than every 10 s; half of that shows each value soon.
const EVERY: Duration = Duration::from_secs(5);
const HEADERS: [&str; 10] =
    ["NAME", "CPU", "CPUS", "MEMORY", "READ/s", "WRITTEN/s", "READS/s", "WRITES/s", "RECEIVED/s", "SENT/s"];
const CLEAR: &str = "\x1b[H\x1b[J";
/// Of a chart, and of what stands before it.
const CHART_COLUMNS_MAX: usize = 100;
const BESIDE_COLUMNS: usize = 52;

/// The busiest, as a table that renews itself; once where nobody looks.
pub async fn top<R: Resource>(context: &Context, top: &Top) -> Result<()> {
    let (client, form) = (context.client().await?, context.form()?);
    let live = form == Form::Table && !top.once && std::io::stdout().is_terminal();
    loop {
        let limit = top.limit.or_else(|| live.then(rows));
        let list = client.usage::<R>(Some(top.sort), limit).await?;
        if form != Form::Table {
            return output::value(form, &list.items);
        }
        let mut text = output::table(&HEADERS, list.items.iter().map(cells));
        if list.items.is_empty() {
            text = format!("no {} was measured lately", R::KIND);
        }
        if !live {
            return output::say(&text);
        }
        // In one write, so that it does not flicker.
        let mut out = std::io::stdout();
        write!(out, "{CLEAR}{text}\n\nby {}; Ctrl-C ends it\n", top.sort)?;
        out.flush()?;
        tokio::time::sleep(EVERY).await;
    }
}

/// Lines of the terminal that are left for VMs.
fn rows() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or(20, |size| usize::from(size.ws_row).saturating_sub(4)).max(1)
}

/// Columns of the terminal that are left for a chart.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    let columns = size.map_or(usize::MAX, |size| usize::from(size.ws_col)).saturating_sub(BESIDE_COLUMNS);
    columns.clamp(10, CHART_COLUMNS_MAX)
}

fn cells(usage: &Usage) -> Vec<String> {
    let value = |series: Series| usage.values.get(series.as_str()).copied().flatten();
    let mut cells = vec![
        usage.name.to_string(),
        shown(Series::CpuRatio, value(Series::CpuRatio)),
        usage.cpus.to_string(),
    ];
    cells.extend(Series::ALL.into_iter().skip(1).map(|series| shown(series, value(series))));
    cells
}

/// A value in the unit that people read.
fn shown(series: Series, value: Option<f32>) -> String {
    let Some(value) = value else { return "-".into() };
    match series {
        Series::CpuRatio => format!("{:.1} %", value * 100.0),
        Series::DiskReadOps | Series::DiskWriteOps => format!("{value:.0}"),
        _ => format_bytes(value.round() as u64),
    }
}

/// What was measured, as small charts.
pub async fn over_time<R: Resource>(context: &Context, of: &MetricsOf) -> Result<()> {
    let client = context.client().await?;
    let question =
        Question { from: of.from.clone(), to: of.to.clone(), step_s: of.step, statistic: Some(of.statistic) };
    // A name that does not exist is told as such, whatever the question.
    let _: R = client.get(of.name.as_str(), &Call::default()).await?;
    let metrics = client.metrics::<R>(of.name.as_str(), &question).await?;
    match context.form()? {
        Form::Table => output::say(&charts(&metrics, columns())),
        form => output::value(form, &metrics),
    }
}

fn charts(metrics: &Metrics, columns: usize) -> String {
    let (Some(first), Some(last)) = (metrics.times.first(), metrics.times.last()) else {
        return String::new();
    };
    let time = |s: i64| jiff::Timestamp::from_second(s).map_or_else(|_| "-".into(), |t| t.to_string());
    let head = format!(
        "{} to {}, steps of {} s",
        time(*first),
        time(*last + i64::from(metrics.step_s)),
        metrics.step_s
    );
    let rows = Series::ALL.into_iter().map(|series| {
        let values = metrics.series.get(series.as_str()).map_or(&[][..], Vec::as_slice);
        let known = || values.iter().flatten().copied();
        let last = values.iter().rev().take(3).find_map(|v| *v);
        let max = known().fold(None, |a: Option<f32>, b| Some(a.map_or(b, |a| a.max(b))));
        vec![series.to_string(), shown(series, last), shown(series, max), sparkline(values, series, columns)]
    });
    format!("{head}\n\n{}", output::table(&["SERIES", "LAST", "MAX", "CHART"], rows))
}

/// Blocks of an eighth of a line each; a blank where nothing was measured. Shares are drawn against 1, everything else
/// against its own maximum.
fn sparkline(values: &[Option<f32>], series: Series, columns: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let by = values.len().div_ceil(columns).max(1);
    let columns: Vec<Option<f32>> =
        values.chunks(by).map(|chunk| chunk.iter().flatten().copied().reduce(f32::max)).collect();
    let top = columns.iter().flatten().copied().fold(f32::MIN_POSITIVE, f32::max);
    let top = if series == Series::CpuRatio { 1.0 } else { top };
    let block =
        |value: Option<f32>| value.map_or(' ', |v| BLOCKS[((v / top * 8.0).ceil() as usize).clamp(1, 8) - 1]);
    columns.into_iter().map(block).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_show_gaps_and_heights() {
        let values = [Some(0.0), Some(0.5), None, Some(1.0), Some(0.1)];
        assert_eq!(sparkline(&values, Series::CpuRatio, 100), "▁▄ █▁");
        let values = values.map(|v| v.map(|v| v * 0.1));
        assert_eq!(sparkline(&values, Series::CpuRatio, 100), "▁▁ ▁▁");
        assert_eq!(sparkline(&values, Series::DiskReadOps, 100), "▁▄ █▁");
        assert_eq!(sparkline(&[], Series::CpuRatio, 100), "");
        let many: Vec<Option<f32>> = (0..1000).map(|i| Some((i % 10) as f32)).collect();
        assert_eq!(sparkline(&many, Series::NetReceiveBytes, 100), "█".repeat(100));
    }

    #[test]
    fn values_are_shown_as_people_read_them() {
        assert_eq!(shown(Series::CpuRatio, Some(0.123)), "12.3 %");
        assert_eq!(shown(Series::DiskWriteOps, Some(7.4)), "7");
        assert_eq!(shown(Series::MemoryUsedBytes, Some(1048576.0)), "1 MiB");
        assert_eq!(shown(Series::NetReceiveBytes, None), "-");
    }
}
