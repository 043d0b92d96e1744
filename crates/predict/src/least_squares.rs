//! Least squares with coefficients that are not negative: no part of a step takes less than no time.

/// The coefficients, none negative, with which `columns * coefficients` is nearest to `values` in squares; each row has `N`
/// columns. Those that the rows cannot tell apart share nothing: the earlier one has it. `None` where nothing fits: no rows, or
/// numbers that are none.
///
/// With so few coefficients every set of those that are not zero is tried, which is exact and needs no iteration to end.
pub(crate) fn nonnegative<const N: usize>(rows: &[([f64; N], f64)]) -> Option<[f64; N]> {
    let finite =
        |(row, value): &([f64; N], f64)| value.is_finite() && row.iter().all(|x| x.is_finite());
    if rows.is_empty() || !rows.iter().all(finite) {
        return None;
    }
    // Columns are of very different sizes (one, and hundreds of thousands of positions): each is brought to length one.
    let mut scale = [0.0; N];
    for (row, _) in rows {
        for (scale, x) in scale.iter_mut().zip(row) {
            *scale += x * x;
        }
    }
    let scale = scale.map(f64::sqrt);
    let (mut products, mut against) = ([[0.0; N]; N], [0.0; N]);
    for (row, value) in rows {
        for i in (0..N).filter(|&i| scale[i] > 0.0) {
            against[i] += row[i] / scale[i] * value;
            for j in (0..N).filter(|&j| scale[j] > 0.0) {
                products[i][j] += row[i] / scale[i] * row[j] / scale[j];
            }
        }
    }
    let mut best: Option<(f64, [f64; N])> = None;
    for set in 0..1_u32 << N {
        let used: Vec<usize> = (0..N).filter(|i| set & (1 << i) != 0).collect();
        let Some(mut found) = solve(&products, &against, &used) else {
            continue;
        };
        for &i in &used {
            found[i] /= scale[i];
        }
        if found.iter().all(|x| *x >= 0.0) {
            let left = squares(rows, &found);
            if best.is_none_or(|(least, _)| left < least * (1.0 - 1e-9)) {
                best = Some((left, found));
            }
        }
    }
    best.map(|(_, found)| found)
}

/// What is left of the values, in squares.
fn squares<const N: usize>(rows: &[([f64; N], f64)], found: &[f64; N]) -> f64 {
    let left = |(row, value): &([f64; N], f64)| {
        value - row.iter().zip(found).map(|(a, b)| a * b).sum::<f64>()
    };
    rows.iter().map(|row| left(row).powi(2)).sum()
}

/// The normal equations of the columns that are used, by elimination; `None` where they depend on each other.
fn solve<const N: usize>(
    products: &[[f64; N]; N],
    against: &[f64; N],
    used: &[usize],
) -> Option<[f64; N]> {
    let n = used.len();
    let mut rows: Vec<Vec<f64>> = used
        .iter()
        .map(|&i| {
            let row = used.iter().map(|&j| products[i][j]);
            row.chain([against[i]]).collect()
        })
        .collect();
    for column in 0..n {
        let pivot =
            (column..n).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        rows.swap(column, pivot);
        let pivot = rows[column].clone();
        if pivot[column].abs() < 1e-10 {
            return None;
        }
        for row in rows.iter_mut().skip(column + 1) {
            let factor = row[column] / pivot[column];
            for (x, y) in row.iter_mut().zip(&pivot).skip(column) {
                *x -= factor * y;
            }
        }
    }
    let mut found = [0.0; N];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| rows[i][j] * found[used[j]]).sum();
        found[used[i]] = (rows[i][n] - known) / rows[i][i];
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Nothing near it that is allowed is better: the problem is convex, so nothing at all is.
        #[test]
        fn no_allowed_coefficients_are_nearer(
            rows in prop::collection::vec(([0.0..5.0_f64, 0.0..5.0, 0.0..5.0], -3.0..10.0_f64), 4..40),
        ) {
            let found = nonnegative(&rows).unwrap();
            prop_assert!(found.iter().all(|x| *x >= 0.0));
            let least = squares(&rows, &found);
            for i in 0..3 {
                for step in [-1e-3, 1e-3] {
                    let mut other = found;
                    other[i] = (other[i] + step).max(0.0);
                    prop_assert!(squares(&rows, &other) >= least - 1e-9 * (1.0 + least), "{found:?} {other:?}");
                }
            }
        }

        /// Columns of any size.
        #[test]
        fn what_is_linear_is_found(a in 0.0..1.0_f64, b in 0.0..1e-5_f64, c in 0.0..1e-9_f64) {
            let rows: Vec<_> = (1..60_u32)
                .map(|i| [1.0, f64::from(i * 7919 % 8192), f64::from(i * i * 104_729 % 3_000_017)])
                .map(|row| (row, a + b * row[1] + c * row[2]))
                .collect();
            let found = nonnegative(&rows).unwrap();
            for (found, x, size) in [(found[0], a, 1.0), (found[1], b, 1e-5), (found[2], c, 1e-9)] {
                prop_assert!((found - x).abs() < 1e-6 * size, "{found} {x}");
            }
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_given_to_one() {
        let rows = [([1.0, 2.0, 0.0], 3.0), ([1.0, 2.0, 0.0], 5.0)];
        assert_eq!(
            nonnegative(&rows).map(|x| x.map(|x| (x * 1e6).round())),
            Some([4e6, 0.0, 0.0])
        );
        assert_eq!(nonnegative::<2>(&[]), None);
        assert_eq!(nonnegative(&[([1.0], f64::NAN)]), None);
        assert_eq!(nonnegative(&[([1.0], -2.0)]), Some([0.0]));
    }
}
