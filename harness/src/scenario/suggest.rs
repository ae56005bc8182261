//! "Did you mean": the nearest of the names that would have been right.

/// The candidate nearest to `word`, if one is near enough to be a slip.
#[must_use]
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase().replace('_', "-");
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase().replace('_', "-")), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Help for a name that does not exist: the nearest, or else what there is.
#[must_use]
pub fn help<'a>(word: &str, what: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(candidate) = nearest(word, candidates.clone()) {
        return format!("did you mean `{candidate}`?");
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    match all.len() {
        0 => format!("there are no {what} at all"),
        1..=16 => format!("{what}: {}", all.join(", ")),
        more => format!("{what}: {}, and {} more", all[..12].join(", "), more - 12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_different_word_does_not() {
        let keys = ["expect", "name", "fires-within", "fault"];
        assert_eq!(nearest("expct", keys), Some("expect"));
        assert_eq!(nearest("fires_within", keys), Some("fires-within"));
        assert_eq!(nearest("tags", keys), None);
        assert_eq!(help("zzzzzz", "keys", ["a", "b"]), "keys: a, b");
    }
}
