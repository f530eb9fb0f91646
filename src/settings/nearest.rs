//! The known word nearest to a mistyped one.

/// The word of `known` that `typed` most likely meant, if one is near enough to suggest.
pub(super) fn nearest(typed: &str, known: &[&str]) -> Option<String> {
    let fold = |word: &str| word.to_lowercase();
    let typed = fold(typed);
    known
        .iter()
        .map(|word| (distance(&typed, &fold(word)), word))
        .filter(|(distance, word)| *distance <= word.len().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| (*word).to_owned())
}

/// Insertions, deletions and replacements, and swaps of neighbours, that lead from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_nothing_far_away() {
        let known = ["allowRead", "denyRead", "allowWrite", "enabled"];
        let table = [
            ("alowRead", Some("allowRead")),
            ("allowread", Some("allowRead")),
            ("deniedRead", Some("denyRead")),
            ("allowWirte", Some("allowWrite")),
            ("enable", Some("enabled")),
            ("colour", None),
            ("", None),
        ];
        for (typed, expected) in table {
            assert_eq!(nearest(typed, &known).as_deref(), expected, "{typed}");
        }
    }
}
