//! `case WORD in PATTERN)`: where a parenthesis closes nothing.

/// Follows `case WORD in PATTERN)` so that the parenthesis after a pattern closes nothing.
#[derive(Default)]
pub(super) struct CasePatterns {
    /// Words since `case`, while `in` has not come.
    awaiting_in: Option<usize>,
    open: usize,
}

impl CasePatterns {
    pub(super) fn see(&mut self, bare: &[u8]) {
        match (bare, self.awaiting_in) {
            (b"case", _) => self.awaiting_in = Some(0),
            (b"in", Some(1..)) => {
                self.awaiting_in = None;
                self.open += 1;
            }
            (_, Some(0)) => self.awaiting_in = Some(1),
            (_, Some(_)) => self.awaiting_in = None,
            (b"esac", None) => self.open = self.open.saturating_sub(1),
            _ => {}
        }
    }

    pub(super) fn pattern_ends(&self) -> bool {
        self.open > 0
    }
}
