//! Requests over time, as an SVG.

use std::error::Error;

use plotters::prelude::*;

use crate::Outcome;

/// Draws the number of requests that each client has sent over time, and the number that the service accepted.
pub fn draw(outcomes: &[Outcome], path: &str) -> Result<(), Box<dyn Error>> {
    let most = outcomes.iter().map(|outcome| outcome.log.len()).max().unwrap_or(1);
    let last =
        outcomes.iter().filter_map(|outcome| outcome.log.last()).map(|(at, _)| at.as_secs_f64()).fold(1.0, f64::max);
    let area = SVGBackend::new(path, (900, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("200 concurrent calls to a service that accepts 50 requests in 2 s", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..last * 1.02, 0.0..most as f64 * 1.05)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds")
        .y_desc("requests sent (thick) and accepted (thin)")
        .draw()?;
    let colors = [RGBColor(0, 114, 178), RGBColor(120, 120, 120), RGBColor(213, 94, 0), RGBColor(0, 158, 115)];
    for (outcome, color) in outcomes.iter().zip(colors) {
        let steps = |counted: &dyn Fn(u16) -> bool| {
            let mut points = vec![(0.0, 0.0)];
            for (at, status) in &outcome.log {
                let (_, count) = points[points.len() - 1];
                points.push((at.as_secs_f64(), count));
                points.push((at.as_secs_f64(), count + f64::from(u8::from(counted(*status)))));
            }
            points
        };
        let label = format!("{}: {} of 200 failed", outcome.client, outcome.failed);
        chart
            .draw_series(LineSeries::new(steps(&|_| true), color.stroke_width(3)))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(3)));
        chart.draw_series(LineSeries::new(steps(&|status| status == 200), color.stroke_width(1)))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
