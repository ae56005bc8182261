//! Requests in flight by age: a doubly linked list over connection indices, since all requests of a load have the same
//! timeout and so expire in the order they were started. Constant memory, no stale entries. Used by `engine`.

const NONE: u32 = u32::MAX;

/// The list; an index is in it at most once.
#[derive(Debug)]
pub(super) struct Deadlines {
    links: Vec<Link>,
    first: u32,
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { links: Vec::new(), first: NONE, last: NONE }
    }
}

impl Deadlines {
    /// The connection whose request is the oldest.
    pub(super) fn first(&self) -> Option<usize> {
        (self.first != NONE).then_some(self.first as usize)
    }

    /// Appends a connection whose request was started last.
    pub(super) fn push(&mut self, index: usize) {
        if self.links.len() <= index {
            self.links.resize(index + 1, Link { before: NONE, after: NONE });
        }
        let index = u32::try_from(index).expect("connections are bounded far below four billion");
        self.links[index as usize] = Link { before: self.last, after: NONE };
        match self.last {
            NONE => self.first = index,
            last => self.links[last as usize].after = index,
        }
        self.last = index;
    }

    /// Removes a connection that is in the list.
    pub(super) fn remove(&mut self, index: usize) {
        let Link { before, after } = self.links[index];
        match before {
            NONE => self.first = after,
            before => self.links[before as usize].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.links[after as usize].before = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_first_whatever_is_removed() {
        let mut deadlines = Deadlines::default();
        [3, 0, 2, 1].into_iter().for_each(|index| deadlines.push(index));
        deadlines.remove(2);
        assert_eq!(deadlines.first(), Some(3));
        deadlines.remove(3);
        assert_eq!(deadlines.first(), Some(0));
        deadlines.push(3);
        deadlines.remove(0);
        deadlines.remove(1);
        assert_eq!(deadlines.first(), Some(3));
        deadlines.remove(3);
        assert_eq!(deadlines.first(), None);
        deadlines.push(1);
        assert_eq!(deadlines.first(), Some(1));
    }
}
