//! The charts of `benches/README.md`.

use std::error::Error;

use plotters::prelude::*;

type Failure = DrawingAreaErrorKind<std::io::Error>;

const OURS: RGBColor = RGBColor(0, 114, 178);
const THEIRS: RGBColor = RGBColor(213, 94, 0);

/// Draws the quartiles of the throughput of this crate and of reqwest-retry for each group, relative to bare reqwest.
pub fn throughput(rows: &[(&str, [[f64; 3]; 2])], path: &str) -> Result<(), Box<dyn Error>> {
    #[expect(clippy::cast_precision_loss, reason = "few rows")]
    let (height, row) = (rows.len() as f64, |index: usize| (rows.len() - 1 - index) as f64);
    let area = SVGBackend::new(path, (900, 360)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Throughput, bare reqwest = 1 (median and quartiles of paired rounds)", ("sans-serif", 18))
        .margin(12)
        .margin_right(40)
        .x_label_area_size(40)
        .build_cartesian_2d(0.1..1.4, -0.6..height + 0.6)?;
    chart.configure_mesh().disable_y_mesh().disable_y_axis().x_labels(14).light_line_style(TRANSPARENT).draw()?;
    chart.draw_series([PathElement::new([(1.0, -0.6), (1.0, height + 0.6)], BLACK.stroke_width(1))])?;
    for (index, (name, _)) in rows.iter().enumerate() {
        chart.draw_series([Text::new((*name).to_owned(), (0.11, row(index) + 0.15), ("sans-serif", 14))])?;
    }
    for (caller, (name, color)) in [("steadfast", OURS), ("reqwest-retry", THEIRS)].into_iter().enumerate() {
        let places = rows
            .iter()
            .enumerate()
            .map(|(index, (_, quartiles))| (quartiles[caller], row(index) + if caller == 0 { 0.14 } else { -0.14 }));
        let whiskers = places.clone();
        chart.draw_series(
            whiskers.map(|([low, _, high], y)| PathElement::new([(low, y), (high, y)], color.stroke_width(2))),
        )?;
        chart
            .draw_series(places.map(|([_, median, _], y)| Circle::new((median, y), 5, color.filled())))?
            .label(name)
            .legend(move |(x, y)| Circle::new((x + 9, y), 5, color.filled()));
    }
    legend(&mut chart)?;
    area.present()?;
    Ok(())
}

/// One line of the scale charts: the figures of a caller by the number of calls in flight.
pub type Line<'a> = (&'a str, Vec<(f64, f64)>);

/// Draws two charts over the number of calls in flight: the CPU time per call, and the memory.
pub fn scale(time: &[Line<'_>], memory: &[Line<'_>], path: &str) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (900, 360)).into_drawing_area();
    area.fill(&WHITE)?;
    let [left, right] = &area.split_evenly((1, 2))[..] else { unreachable!("it was split in two") };
    for (half, title, lines) in
        [(left, "CPU time per call, µs", time), (right, "Memory per call in flight, KiB", memory)]
    {
        let most = lines.iter().flat_map(|(_, points)| points).map(|(_, y)| *y).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(half)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d((1.0..10_000.0).log_scale(), 0.0..most * 1.15)?;
        chart.configure_mesh().x_desc("calls in flight").light_line_style(TRANSPARENT).draw()?;
        for ((name, points), color) in lines.iter().zip([OURS, THEIRS, BLACK]) {
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        }
        legend(&mut chart)?;
    }
    area.present()?;
    Ok(())
}

fn legend<'a, C: CoordTranslate>(chart: &mut ChartContext<'a, SVGBackend<'a>, C>) -> Result<(), Failure> {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()
}
