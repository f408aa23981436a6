//! What is cut short must not look complete, also when a future was dropped in the middle.

use super::Transport;

/// Resets a stream when it is dropped, unless what was to be done on it has come to an end of its own.
pub(crate) struct Cut<'t, T: Transport>(&'t T);

impl<'t, T: Transport> Cut<'t, T> {
    pub(crate) fn unless_ended(stream: &'t T) -> Self {
        Self(stream)
    }

    /// It has ended, and whoever knows how says what follows.
    pub(crate) fn ended(self) {
        std::mem::forget(self);
    }
}

impl<T: Transport> Drop for Cut<'_, T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
