//! Reading `timeline.jsonl`, as far as it goes; again when it has grown.

use std::io;
use std::path::Path;

use crate::TIMELINE;
use crate::ahead::Ahead;
use crate::second::Second;
use crate::state::Damage;

/// The longest line. A thousand servers take 70 KiB.
const MAX_LINE: usize = 256 << 10;
/// Twelve days.
pub(crate) const MAX_LINES: u64 = 1 << 20;

/// The seconds of a timeline, in the order in which they were written. Memory: one line.
#[derive(Debug)]
pub struct Timeline {
    ahead: Ahead,
    lines: u64,
    unreadable: u64,
    damage: Option<Damage>,
}

impl Timeline {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            ahead: Ahead::new(ossmark_files::open(path)?),
            lines: 0,
            unreadable: 0,
            damage: None,
        })
    }

    /// The next second; `None` where no whole line is there. It may be called again when the run goes on.
    ///
    /// # Errors
    ///
    /// Those of reading the file.
    pub fn next_second(&mut self) -> io::Result<Option<Second>> {
        let mut searched = 0;
        while self.damage.is_none() {
            let bytes = self.ahead.bytes();
            let end = bytes[searched..].iter().position(|b| *b == b'\n');
            let Some(end) = end.map(|at| searched + at) else {
                searched = bytes.len();
                if searched > MAX_LINE {
                    self.stop(format!("a line of more than {MAX_LINE} bytes"));
                } else if !self.ahead.more()? {
                    self.ahead.again();
                    return Ok(None);
                }
                continue;
            };
            if self.lines == MAX_LINES {
                self.stop(format!("more than {MAX_LINES} lines"));
                continue;
            }
            let line = &bytes[..end];
            let second = match line.len() > MAX_LINE {
                true => None,
                false => serde_json::from_slice(line).ok(),
            };
            self.ahead.pass(end + 1);
            self.lines += 1;
            searched = 0;
            match second {
                Some(second) => return Ok(Some(second)),
                None => self.unreadable += 1,
            }
        }
        Ok(None)
    }

    /// Lines that were passed over because they are no such object.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Why the rest was not read, if it was not.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    fn stop(&mut self, what: String) {
        self.damage = Some(Damage {
            file: TIMELINE,
            at: self.ahead.at(),
            what,
        });
    }
}
