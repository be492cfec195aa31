//! Requests over time, as SVG files.

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

/// Draws the requests of one client in steps of 100 ms: those that the service accepted and those that it throttled.
/// Vertical lines separate the windows of the service, whose length is `window`.
pub fn draw_windows(outcome: &Outcome, window: f64, path: &str) -> Result<(), Box<dyn Error>> {
    const STEP: f64 = 0.1;
    let mut steps: Vec<(u32, u32)> = Vec::new();
    for (at, status) in &outcome.log {
        let step = (at.as_secs_f64() / STEP) as usize;
        if steps.len() <= step {
            steps.resize(step + 1, (0, 0));
        }
        let (accepted, throttled) = &mut steps[step];
        *if *status == 200 { accepted } else { throttled } += 1;
    }
    let most = steps.iter().map(|(accepted, throttled)| accepted + throttled).max().unwrap_or(1);
    let last = steps.len() as f64 * STEP;
    let area = SVGBackend::new(path, (900, 320)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("300 calls, 16 at a time, to a service that accepts 50 requests in 2 s", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..last, 0.0..f64::from(most) * 1.1)?;
    chart.configure_mesh().light_line_style(TRANSPARENT).x_desc("seconds").y_desc("requests in 100 ms").draw()?;
    let windows = (1..).map(|number| f64::from(number) * window).take_while(|at| *at < last);
    for at in windows {
        chart.draw_series([PathElement::new([(at, 0.0), (at, f64::from(most) * 1.1)], BLACK.mix(0.4))])?;
    }
    let bar = |step: usize, from: u32, to: u32, color: RGBColor| {
        let (left, right) = (step as f64 * STEP, (step as f64 + 0.9) * STEP);
        Rectangle::new([(left, f64::from(from)), (right, f64::from(to))], color.filled())
    };
    let (blue, red) = (RGBColor(0, 114, 178), RGBColor(213, 94, 0));
    let legend = |color: RGBColor| move |(x, y)| Rectangle::new([(x, y - 4), (x + 12, y + 4)], color.filled());
    let accepted = steps.iter().enumerate().map(|(step, (accepted, _))| bar(step, 0, *accepted, blue));
    chart.draw_series(accepted)?.label("accepted").legend(legend(blue));
    let throttled =
        steps.iter().enumerate().map(|(step, (accepted, throttled))| bar(step, *accepted, accepted + throttled, red));
    chart.draw_series(throttled)?.label("throttled").legend(legend(red));
    chart.configure_series_labels().background_style(WHITE.mix(0.9)).border_style(BLACK.mix(0.3)).draw()?;
    area.present()?;
    Ok(())
}
