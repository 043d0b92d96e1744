//! `endpoints plan`: the facts' example, and that every plan covers what the check asks for.

use ossmark_endpoints::plan::{Options, plan};

fn options(c_max: i128, c_min: i128, seconds: &[(i128, f64)]) -> Options {
    Options {
        c_max,
        c_min,
        is_declared: false,
        is_dedicated: false,
        seconds: seconds.to_vec(),
    }
}

#[test]
fn a_point_at_one_and_five_seconds_takes_44_hours() {
    let plan = plan(&options(512, 1, &[(1, 5.0)])).unwrap();
    let first = &plan.points[0];
    assert_eq!(
        (first.concurrency, first.passes, first.requests),
        (1, 5, 31_980)
    );
    assert!(
        (first.hours.unwrap() - 44.4).abs() < 0.05,
        "{:?}",
        first.hours
    );
}

#[test]
fn seven_points_cover_all_regions_and_the_last_is_elected() {
    for c_max in [33, 34, 40, 64, 100, 513, 6396, 100_000] {
        for c_min in [1, 8, 32] {
            let plan = plan(&options(c_max, c_min, &[])).unwrap();
            assert_eq!(plan.hours, None);
            let regions: Vec<&str> = plan.points.iter().map(|p| p.region).collect();
            for region in ["low_concurrency", "med_concurrency", "high_concurrency"] {
                let is_there = regions.contains(&region);
                assert_eq!(
                    is_there,
                    !plan.empty_regions.contains(&region),
                    "{c_max} {c_min} {region}"
                );
            }
            if c_max > 40 {
                assert_eq!(plan.points.len(), 7, "{c_max} {c_min}");
                assert_eq!(plan.points.iter().filter(|p| p.accuracy).count(), 4);
            }
            let sorted = plan
                .points
                .windows(2)
                .all(|pair| pair[0].concurrency < pair[1].concurrency);
            assert!(sorted, "{c_max} {c_min}");
            let last = plan.points.last().unwrap();
            assert_eq!((last.concurrency, last.offline), (c_max, Some("elected")));
        }
    }
}

#[test]
fn short_answers_need_more_passes_and_service_times_lie_between_the_given() {
    // 6396 requests at 512 and 2 s take 25 s: 1200 s are 49 passes, and one is left out.
    let quick = plan(&options(512, 32, &[(32, 1.0), (512, 2.0)])).unwrap();
    let last = quick.points.last().unwrap();
    assert_eq!((last.passes, last.requests), (50, 50 * 6396));
    let middle = &quick.points[3];
    let seconds =
        middle.hours.unwrap() * 3600.0 * middle.concurrency as f64 / middle.requests as f64;
    assert!(seconds > 1.0 && seconds < 2.0, "{seconds}");
    let dedicated = Options {
        is_dedicated: true,
        ..options(512, 32, &[(512, 2.0)])
    };
    let plan = plan(&dedicated).unwrap();
    let offline = plan.points.last().unwrap();
    assert_eq!(
        (plan.points.len(), offline.concurrency, offline.offline),
        (8, 6396, Some("dedicated"))
    );
    let too_high = Options {
        is_dedicated: true,
        ..options(6397, 32, &[])
    };
    assert!(ossmark_endpoints::plan::plan(&too_high).is_err());
}
