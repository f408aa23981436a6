//! Values that travel with an exchange.

use std::any::{Any, TypeId};
use std::fmt;

/// Values of any type, one per type, from a policy's `admit` to its `ended`. They are dropped when the
/// exchange is over, however it ended, so that a guard in here (a permit, a span) is released by then.
///
/// Holds no memory while it is empty; found by comparing types one after the other, because there are few.
#[derive(Default)]
pub struct Extensions(Vec<(TypeId, Box<dyn Any + Send + Sync>)>);

impl Extensions {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Puts a value in; returns the one of its type that was there.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let old = self.remove();
        self.0.push((TypeId::of::<T>(), Box::new(value)));
        old
    }

    /// The value of this type.
    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.iter().find(|(id, _)| *id == TypeId::of::<T>()).and_then(|(_, value)| value.downcast_ref())
    }

    /// The same, to change it.
    #[must_use]
    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.0.iter_mut().find(|(id, _)| *id == TypeId::of::<T>()).and_then(|(_, value)| value.downcast_mut())
    }

    /// Takes the value of this type out.
    pub fn remove<T: 'static>(&mut self) -> Option<T> {
        let at = self.0.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        self.0.swap_remove(at).1.downcast().ok().map(|value| *value)
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions").field("len", &self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_per_type() {
        let mut all = Extensions::new();
        assert_eq!(all.insert(1_u8), None);
        assert_eq!(all.insert(2_u8), Some(1));
        all.insert("text");
        if let Some(n) = all.get_mut::<u8>() {
            *n += 1;
        }
        assert_eq!((all.get::<u8>(), all.get::<&str>(), all.get::<u16>()), (Some(&3), Some(&"text"), None));
        assert_eq!((all.remove::<u8>(), all.remove::<u8>()), (Some(3), None));
    }
}
