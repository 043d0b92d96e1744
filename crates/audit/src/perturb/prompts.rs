//! How prompts are changed. Pure.

use rand_mt::Mt64;

/// Each prompt with one token changed: one of what differs between the prompts, and not of their common frame, becomes one that
/// stands at such a place in another prompt. The same `seed` gives the same change.
///
/// A prompt without such a place stays as it is.
pub fn one_token_changed(prompts: &[Vec<u32>], seed: u64) -> Vec<Vec<u32>> {
    let (before, after) = frame(prompts);
    let own = |prompt: &[u32]| -> Vec<u32> {
        let end = prompt.len().saturating_sub(after);
        prompt.get(before..end).unwrap_or_default().to_vec()
    };
    let others: Vec<u32> = prompts
        .iter()
        .take(1000)
        .flat_map(|prompt| own(prompt))
        .collect();
    let mut random = Mt64::new(seed);
    let changed = prompts.iter().map(|prompt| {
        let mut changed = prompt.clone();
        let places = own(prompt).len();
        if places == 0 {
            return changed;
        }
        let place = before + (random.next_u64() % places as u64) as usize;
        // Most tokens of a text are others than this one.
        for _ in 0..100 {
            let other = others[(random.next_u64() % others.len() as u64) as usize];
            if other != prompt[place] {
                changed[place] = other;
                break;
            }
        }
        changed
    });
    changed.collect()
}

/// How many tokens all prompts begin and end with together.
fn frame(prompts: &[Vec<u32>]) -> (usize, usize) {
    let Some((first, rest)) = prompts.split_first() else {
        return (0, 0);
    };
    let mut before = first.len();
    let mut after = first.len();
    for prompt in rest {
        let same = first.iter().zip(prompt).take_while(|(a, b)| a == b);
        before = before.min(same.count());
        let same = first
            .iter()
            .rev()
            .zip(prompt.iter().rev())
            .take_while(|(a, b)| a == b);
        after = after.min(same.count());
    }
    // One prompt, or all the same: all of it is its own.
    if before == first.len() {
        return (0, 0);
    }
    (before, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_of_what_is_asked_changes() {
        let prompts: Vec<Vec<u32>> = (0..100)
            .map(|q| vec![1, 2, 1000 + q, 2000 + q * 3, 9])
            .collect();
        let changed = one_token_changed(&prompts, 1);
        assert_eq!(changed, one_token_changed(&prompts, 1));
        for (a, b) in prompts.iter().zip(&changed) {
            assert_eq!(a.len(), b.len());
            assert_eq!(
                a.iter().zip(b).filter(|(a, b)| a != b).count(),
                1,
                "{a:?} {b:?}"
            );
            assert_eq!((a[0], a[1], a[4]), (b[0], b[1], b[4]));
        }
        assert_eq!(one_token_changed(&[], 1), Vec::<Vec<u32>>::new());
        assert_eq!(one_token_changed(&[vec![7]], 1), [[7]]);
    }
}
