//! Line charts as inline SVG: latency by percentile, and spans per second. Pure.
//!
//! Colours come from the page's style, so that a chart follows light and dark.

use super::html::{add, escaped};

/// One line of a chart; points ascend in the first coordinate.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<[f64; 2]>,
}

/// Where a value lies between the ends of an axis, and what is written beside it.
struct Axis {
    start: f64,
    end: f64,
    ticks: Vec<(f64, String)>,
}

/// Latency in microseconds over quantiles: both axes are logarithmic, the quantiles' in their
/// distance from 1, so that every nine takes the same room. `None` without points.
pub(super) fn latency(curves: &[Series]) -> Option<String> {
    let nines = |quantile: f64| -(1.0 - quantile).log10();
    let finite = curves.iter().flat_map(|curve| &curve.points).map(|point| point[0]);
    let end = finite.filter(|quantile| *quantile < 1.0).map(nines).fold(1.0, f64::max);
    let scaled: Vec<_> = curves
        .iter()
        .map(|Series { name, points }| {
            // The maximum has no finite distance: it is drawn where the chart ends.
            let scale = |[quantile, micros]: &[f64; 2]| {
                [nines(*quantile).min(end), micros.max(LATENCY_MICROS_MIN).log10()]
            };
            Series { name: name.clone(), points: points.iter().map(scale).collect() }
        })
        .collect();
    let values = || scaled.iter().flat_map(|curve| &curve.points).map(|point| point[1]);
    let (low, high) = (values().reduce(f64::min)?.floor(), values().reduce(f64::max)?.ceil());
    let high = high.max(low + 1.0);
    let decades = (low as i32..=high as i32).map(|decade| (f64::from(decade), duration(decade)));
    let percentiles = (0..=end as u32).map(|nines| (f64::from(nines), percentile(nines)));
    let x = Axis { start: 0.0, end, ticks: percentiles.collect() };
    let y = Axis { start: low, end: high, ticks: decades.collect() };
    Some(figure(&scaled, &x, &y))
}

/// Spans over seconds, from zero. `None` without points.
pub(super) fn throughput(timelines: &[Series]) -> Option<String> {
    let points = || timelines.iter().flat_map(|timeline| &timeline.points);
    let end = points().map(|point| point[0]).reduce(f64::max)?.max(2.0);
    let high = round_up(points().map(|point| point[1]).fold(1.0, f64::max));
    let parts = |of: f64| (0..=TICKS).map(move |tick| of * f64::from(tick) / f64::from(TICKS));
    let seconds = parts(end - 1.0).map(|second| (second + 1.0, format!("{:.0} s", second + 1.0)));
    let x = Axis { start: 1.0, end, ticks: seconds.collect() };
    let y = Axis { start: 0.0, end: high, ticks: parts(high).map(|it| (it, count(it))).collect() };
    Some(figure(timelines, &x, &y))
}

fn figure(series: &[Series], x: &Axis, y: &Axis) -> String {
    let left = |value| LEFT + x.share(value) * (WIDTH - LEFT - RIGHT);
    let top = |value| HEIGHT - BOTTOM - y.share(value) * (HEIGHT - BOTTOM - TOP);
    let height = HEIGHT + LEGEND_LINE * series.len() as f64;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n");
    for (value, label) in &x.ticks {
        let (at, foot) = (left(*value), HEIGHT - BOTTOM);
        add(
            &mut svg,
            format_args!(
                "<path class=\"grid\" d=\"M{at:.1} {TOP}V{foot}\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>\n",
                foot + 16.0
            ),
        );
    }
    for (value, label) in &y.ticks {
        let (at, end) = (top(*value), WIDTH - RIGHT);
        add(
            &mut svg,
            format_args!(
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{end}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
                LEFT - 6.0,
                at + 4.0
            ),
        );
    }
    for (index, Series { name, points }) in series.iter().enumerate() {
        let colour = format!("var(--s{})", index % COLOURS);
        add(&mut svg, format_args!("<polyline style=\"stroke: {colour}\" points=\""));
        for [across, up] in points {
            add(&mut svg, format_args!("{:.1},{:.1} ", left(*across), top(*up)));
        }
        let line = HEIGHT + LEGEND_LINE * (index as f64 + 0.5);
        add(
            &mut svg,
            format_args!(
                "\"/>\n<path style=\"stroke: {colour}; stroke-width: 3\" d=\"M{LEFT} {:.1}h20\"/>\
                 <text x=\"{:.1}\" y=\"{line:.1}\">{}</text>\n",
                line - 4.0,
                LEFT + 28.0,
                escaped(name)
            ),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

impl Axis {
    fn share(&self, value: f64) -> f64 {
        (value - self.start) / (self.end - self.start)
    }
}

/// The percentile of so many nines: 0, 90, 99, 99.9 and so on.
fn percentile(nines: u32) -> String {
    match nines {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        _ => format!("99.{} %", "9".repeat(nines as usize - 2)),
    }
}

/// Ten to the power of `decade` microseconds, as people say it.
fn duration(decade: i32) -> String {
    let (unit, decade) = match decade {
        ..3 => ("us", decade),
        3..6 => ("ms", decade - 3),
        _ => ("s", decade - 6),
    };
    format!("{} {unit}", 10_f64.powi(decade))
}

/// The next of 1, 2 or 5 times a power of ten: a chart's upper end.
fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

fn count(value: f64) -> String {
    match value {
        1e6.. => format!("{:.1} M", value / 1e6),
        1e3.. => format!("{:.1} k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 28.0;
const LEGEND_LINE: f64 = 18.0;
const TICKS: u32 = 4;
/// The style names so many.
const COLOURS: usize = 6;
/// What histograms begin with; a logarithm needs a floor.
const LATENCY_MICROS_MIN: f64 = 1.0;

#[cfg(test)]
mod tests {
    use super::{Series, count, duration, latency, percentile, round_up, throughput};

    /// The coordinates of every line.
    fn lines(svg: &str) -> Vec<Vec<(f64, f64)>> {
        let point = |text: &str| {
            let (across, up) = text.split_once(',').unwrap();
            (across.parse().unwrap(), up.parse().unwrap())
        };
        let lines = svg.split("points=\"").skip(1);
        lines
            .map(|rest| rest.split('"').next().unwrap().split_whitespace().map(point).collect())
            .collect()
    }

    /// Each further nine is as far to the right as the one before, the maximum is on the chart,
    /// and more latency is higher up.
    #[test]
    fn every_nine_takes_the_same_room() {
        let points = vec![[0.0, 10.0], [0.9, 100.0], [0.99, 1_000.0], [1.0, 20_000.0]];
        let svg = latency(&[Series { name: "a".to_owned(), points }]).unwrap();
        let [line] = &lines(&svg)[..] else { panic!("{svg}") };
        assert!((line[1].0 - line[0].0 - (line[2].0 - line[1].0)).abs() < 0.2, "{line:?}");
        assert_eq!(line[3].0, line[2].0);
        assert!(line.is_sorted_by(|one, next| one.1 > next.1), "{line:?}");
        assert!(line.iter().all(|(across, up)| (0.0..=760.0).contains(across) && *up >= 0.0));
    }

    /// Throughput starts at zero, and both series are on the same scale.
    #[test]
    fn throughput_is_drawn_from_zero() {
        let series = |name: &str, spans: [f64; 3]| Series {
            name: name.to_owned(),
            points: (1..).zip(spans).map(|(second, spans)| [f64::from(second), spans]).collect(),
        };
        let all = [series("a", [0.0, 50.0, 100.0]), series("b", [100.0, 100.0, 0.0])];
        let svg = throughput(&all).unwrap();
        let [a, b] = &lines(&svg)[..] else { panic!("{svg}") };
        assert_eq!((a[0].1, a[2].1), (b[2].1, b[0].1));
        assert_eq!(a[0].1 - a[1].1, a[1].1 - a[2].1);
    }

    /// Nothing to draw is no chart.
    #[test]
    fn nothing_is_no_chart() {
        assert_eq!((latency(&[]), throughput(&[])), (None, None));
    }

    /// Labels are what people say.
    #[test]
    fn labels_are_readable() {
        assert_eq!([0, 1, 2, 4].map(percentile), ["0 %", "90 %", "99 %", "99.99 %"]);
        assert_eq!([0, 2, 4, 6].map(duration), ["1 us", "100 us", "10 ms", "1 s"]);
        assert_eq!([7.0, 2_500.0, 3e6].map(count), ["7", "2.5 k", "3.0 M"]);
        assert_eq!([1.0, 1.5, 320.0, 900.0].map(round_up), [1.0, 2.0, 500.0, 1_000.0]);
    }
}
