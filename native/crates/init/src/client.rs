//! One engine that is connected.

use crate::console::Guard;
use crate::link::Link;

pub struct Client {
    pub link: Link,
    /// Shall hear when the root process ends.
    pub waits_for_root: bool,
    /// Takes the terminal's output itself.
    pub attached: bool,
    /// Put back when the connection ends without a word.
    pub guard: Option<Guard>,
}

impl Client {
    pub fn new(link: Link) -> Self {
        Self { link, waits_for_root: false, attached: false, guard: None }
    }

    /// The connection ended.
    pub fn part(self) {
        if let Some(guard) = self.guard {
            guard.restore();
        }
    }
}
