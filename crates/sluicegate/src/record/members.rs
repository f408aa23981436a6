//! Which members of tuples have been asked about a request.

use std::any::TypeId;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// For each tuple of policies that was asked about one request, how many of its members were: they are asked in order, and
/// none after the first that does not forward. Kept from one request of a connection to the next, so that it is allocated once.
///
/// A tuple is known by where it stands and what it is. A place alone is not enough, because a tuple may begin with a tuple; nor
/// is a number of parts, which whatever stands between the two would have to pass on. One that stands in two places (clones of
/// an `Arc`, or members without a size) has a mark for each time that it was asked, and is told in the same order.
#[derive(Debug, Default)]
pub(crate) struct Members(Vec<Mark>);

#[derive(Debug)]
struct Mark {
    tuple: (usize, TypeId),
    members: usize,
    /// It has been counted: what was asked once is told once.
    counted: AtomicBool,
}

impl Members {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Another request: nobody has been asked.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// So many members of `tuple` have been asked, the one that is asked now included. The first of them begins anew.
    pub(crate) fn note<T: 'static>(&mut self, tuple: &T, members: usize) {
        let tuple = identity(tuple);
        match self.0.iter_mut().rfind(|mark| mark.tuple == tuple) {
            Some(mark) if members > 1 => mark.members = members,
            _ => self.0.push(Mark { tuple, members, counted: AtomicBool::new(false) }),
        }
    }

    /// How many members of `tuple` were asked, when it was asked for the first time of those that have not been counted yet.
    pub(crate) fn count<T: 'static>(&self, tuple: &T) -> usize {
        let tuple = identity(tuple);
        let mut marks = self.0.iter().filter(|mark| mark.tuple == tuple);
        marks.find(|mark| !mark.counted.swap(true, Relaxed)).map_or(0, |mark| mark.members)
    }
}

fn identity<T: 'static>(tuple: &T) -> (usize, TypeId) {
    (std::ptr::from_ref(tuple).addr(), TypeId::of::<T>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tuple_and_the_one_that_it_begins_with_are_two() {
        let all = (((1, 2), 3), (1, 2));
        let mut asked = Members::new();
        asked.note(&all, 1);
        asked.note(&all.0, 2);
        asked.note(&all.0.0, 1);
        let count =
            |asked: &Members| [asked.count(&all), asked.count(&all.0), asked.count(&all.0.0), asked.count(&all.1)];
        assert_eq!(count(&asked), [1, 2, 1, 0]);
        assert_eq!(count(&asked), [0; 4], "what was asked once is told once");
        asked.clear();
        assert_eq!(count(&asked), [0; 4]);
    }

    #[test]
    fn a_tuple_that_is_asked_twice_is_told_in_order() {
        let shared = (1, 2);
        let mut asked = Members::new();
        asked.note(&shared, 1);
        asked.note(&shared, 2);
        asked.note(&shared, 1);
        assert_eq!([asked.count(&shared), asked.count(&shared), asked.count(&shared)], [2, 1, 0]);
    }
}
