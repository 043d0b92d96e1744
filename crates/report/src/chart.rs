//! A plot as SVG. Colours are names that the page's style sheet gives values to, so that one drawing serves both themes.

use plotters::prelude::*;

use crate::number::tick;

/// What a thing is drawn with. The style sheet finds it by this colour (`[stroke="#000003"]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Axis = 1,
    Grid = 2,
    First = 3,
    Second = 4,
    Limit = 5,
    Shade = 6,
}

impl Ink {
    fn color(self) -> RGBColor {
        RGBColor(0, 0, self as u8)
    }
}

/// A drawing. Coordinates that are no numbers are left out, those too far away are moved to [`FAR`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Chart {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// Each a name and its points; the first is drawn with [`Ink::First`], the second with [`Ink::Second`].
    pub(crate) lines: Vec<Vec<(f64, f64)>>,
    /// Filled rectangles.
    pub(crate) boxes: Vec<Filled>,
    /// Lines from left to right, and from bottom to top, where a limit is.
    pub(crate) level: Vec<f64>,
    pub(crate) upright: Vec<f64>,
    /// Stretches of the x axis that are set off: ramp and drain, or a band.
    pub(crate) shades: Vec<(f64, f64)>,
}

/// A rectangle from a corner to the opposite one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filled {
    pub(crate) from: (f64, f64),
    pub(crate) to: (f64, f64),
    /// From 0, hardly seen, to 1.
    pub(crate) strength: f64,
}

/// An axis from 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axis {
    pub(crate) name: String,
    pub(crate) to: f64,
}

/// Beyond this nothing is drawn: the arithmetic of ticks wants room.
const FAR: f64 = 1e15;
const SIZE: (u32, u32) = (640, 280);

impl Chart {
    /// Points and boxes that are drawn.
    pub(crate) fn points(&self) -> usize {
        let drawn = |line: &Vec<(f64, f64)>| line.iter().filter(is_drawn).count();
        self.lines.iter().map(drawn).sum::<usize>() + self.boxes.len()
    }

    /// The SVG element.
    pub(crate) fn svg(&self) -> String {
        let mut svg = String::new();
        // Drawing into memory, on axes that have a length, cannot fail.
        let drawn = self.draw(&mut svg);
        debug_assert!(
            drawn.is_ok(),
            "{:?}",
            drawn.map_err(|error| error.to_string())
        );
        // As many spaces and lines as the page needs.
        svg.replace("\n", "")
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error + '_>> {
        let (x_to, y_to) = (end(self.x.to), end(self.y.to));
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(6)
            .margin_right(18)
            // On a phone letters are larger (page.css): the topmost figure must not be cut, nor lie on the axis' name.
            .margin_top(14)
            .x_label_area_size(54)
            .y_label_area_size(if self.y.name.is_empty() { 62 } else { 86 })
            .build_cartesian_2d(0.0..x_to, 0.0..y_to)?;
        let at = |(x, y): (f64, f64)| (x.clamp(0.0, x_to), y.clamp(0.0, y_to));
        let bar = |from, to, color: RGBAColor| Rectangle::new([at(from), at(to)], color.filled());
        for (from, to) in &self.shades {
            let shade = Ink::Shade.color().mix(1.0);
            chart.draw_series([bar((*from, 0.0), (*to, y_to), shade)])?;
        }
        let text = |size: i32| ("sans-serif", size).into_font().color(&Ink::Axis.color());
        chart
            .configure_mesh()
            .x_labels(6)
            .y_labels(5)
            .x_label_formatter(&|value| tick(*value))
            .y_label_formatter(&|value| tick(*value))
            .x_desc(&self.x.name)
            .y_desc(&self.y.name)
            .label_style(text(17))
            .axis_desc_style(text(17))
            .axis_style(Ink::Axis.color())
            .bold_line_style(Ink::Grid.color())
            .light_line_style(TRANSPARENT)
            .draw()?;
        for Filled { from, to, strength } in &self.boxes {
            chart.draw_series([bar(
                *from,
                *to,
                Ink::First.color().mix(strength.clamp(0.1, 1.0)),
            )])?;
        }
        for (line, ink) in self.lines.iter().zip([Ink::First, Ink::Second]) {
            let points = line.iter().filter(is_drawn).map(|point| at(*point));
            chart.draw_series(LineSeries::new(points, ink.color().stroke_width(2)))?;
        }
        let limit = Ink::Limit.color().stroke_width(2);
        for y in self.level.iter().filter(|y| (0.0..=y_to).contains(*y)) {
            chart.draw_series(LineSeries::new([(0.0, *y), (x_to, *y)], limit))?;
        }
        for x in self.upright.iter().filter(|x| (0.0..=x_to).contains(*x)) {
            chart.draw_series(LineSeries::new([(*x, 0.0), (*x, y_to)], limit))?;
        }
        area.present()?;
        Ok(())
    }
}

fn is_drawn(point: &&(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

/// Where an axis ends: it has a length, whatever is asked.
fn end(to: f64) -> f64 {
    match to {
        to if to > 0.0 => to.clamp(1e-6, FAR),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(chart: &Chart) -> usize {
        let svg = chart.svg();
        let mut points = 0;
        for part in svg.split('<') {
            let data = ["#000003", "#000004"].iter().any(|ink| part.contains(ink));
            if data && part.starts_with("polyline") {
                let list = part
                    .split("points=\"")
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap();
                points += list.split_ascii_whitespace().count();
            } else if data && part.starts_with("rect") {
                points += 1;
            }
        }
        points
    }

    #[test]
    fn as_many_points_are_drawn_as_said() {
        let mut chart = Chart {
            x: Axis {
                name: "seconds".into(),
                to: 99.0,
            },
            y: Axis {
                name: "ms".into(),
                to: 50.0,
            },
            lines: vec![
                (0..100).map(|i| (f64::from(i), f64::from(i % 7))).collect(),
                vec![(1.0, 2.0)],
            ],
            boxes: vec![Filled {
                from: (1.0, 0.0),
                to: (2.0, 3.0),
                strength: 0.5,
            }],
            level: vec![40.0],
            upright: vec![1000.0],
            shades: vec![(0.0, 5.0)],
        };
        assert_eq!((chart.points(), drawn(&chart)), (102, 102));
        chart.lines[0].push((f64::NAN, 1.0));
        chart.lines[1].push((f64::MAX, f64::MIN));
        assert_eq!((chart.points(), drawn(&chart)), (103, 103));
    }

    #[test]
    fn hostile_axes_end_and_their_names_are_escaped() {
        for to in [
            0.0,
            -1.0,
            f64::NAN,
            f64::INFINITY,
            f64::MIN_POSITIVE,
            f64::MAX,
            1e15,
        ] {
            let axis = Axis {
                name: "</svg><script>alert(1)</script>".into(),
                to,
            };
            let chart = Chart {
                x: axis.clone(),
                y: axis,
                ..Chart::default()
            };
            let svg = chart.svg();
            assert!(
                svg.ends_with("</svg>") && !svg.contains("<script"),
                "{to}: {svg}"
            );
            assert!(svg.len() < 20_000, "{to}: {}", svg.len());
        }
    }
}
