//! A record that grows, read as it does: what is new since the last look.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::record::{Record, is_absent};
use crate::row::Row;
use crate::scan::Scan;
use crate::second::Second;
use crate::state::{Damage, State};
use crate::timeline::Timeline;
use crate::{JOURNAL, TIMELINE};

/// Rows and seconds of one look.
const ROWS: usize = 1 << 16;
const SECONDS: usize = 256;
/// Devices and servers in the seconds of one look: a few bytes of a line are a hundred in memory.
const PARTS: usize = 1 << 14;

/// Follows the record in a directory, whether it is there yet, goes on or has ended. It may be begun at any time, and reads
/// all that was written before.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    journal: Option<Scan>,
    /// `samples.parquet` has been read: there will be no more rows.
    ended: Option<(u64, Option<String>)>,
    timeline: Option<Timeline>,
}

/// What a look found.
#[derive(Debug, Default)]
pub struct News {
    /// New rows: in order of completion while the run goes on, in order of issue when it had ended before the first look.
    pub rows: Vec<Row>,
    /// New seconds.
    pub seconds: Vec<Second>,
    /// Rows lost so far.
    pub lost: u64,
    /// `None` as long as there is no record.
    pub state: Option<State>,
    /// Why the writer ended before its run did, if it did. From outside: escape it where it is shown.
    pub reason: Option<String>,
    /// Where a file stops being readable, if one does.
    pub damage: Option<Damage>,
    /// There is more to read at once.
    pub more: bool,
}

impl Follower {
    /// Follows the record in `dir`, which need not be there yet.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            journal: None,
            ended: None,
            timeline: None,
        }
    }

    /// Reads what is new. Takes 65,536 rows of a journal and 256 seconds at a time (fewer of many devices), so that memory and
    /// time are bounded.
    ///
    /// # Errors
    ///
    /// As [`Record::open`], but that a record may still come.
    pub fn look(&mut self) -> Result<News, Error> {
        let mut news = News::default();
        self.rows(&mut news)?;
        self.seconds(&mut news)?;
        Ok(news)
    }

    fn rows(&mut self, news: &mut News) -> Result<(), Error> {
        if self.journal.is_none() && self.ended.is_none() {
            self.find(news)?;
        }
        if let Some(journal) = &mut self.journal {
            // The journal stays readable after its name is gone, and its end says that it was closed.
            let held = journal.is_held();
            news.more = journal.read(&mut news.rows, ROWS)?;
            news.state = Some(journal.state(held || news.more));
            news.lost = journal.lost;
            news.reason.clone_from(&journal.reason);
            news.damage = journal.damage.clone();
        } else if let Some((lost, reason)) = &self.ended {
            news.state = Some(State::Ended);
            news.lost = *lost;
            news.reason.clone_from(reason);
        }
        Ok(())
    }

    fn find(&mut self, news: &mut News) -> Result<(), Error> {
        let path = self.dir.join(JOURNAL);
        // In this order, a record that ends between the two is found.
        for _ in 0..2 {
            if let Some(record) = Record::ended(&self.dir)? {
                news.rows = record.rows;
                self.ended = Some((record.lost, record.reason));
                return Ok(());
            }
            match Scan::open(&path) {
                Ok(scan) => {
                    self.journal = Some(scan);
                    return Ok(());
                }
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(Error::io(&path)(error)),
            }
        }
        Ok(())
    }

    fn seconds(&mut self, news: &mut News) -> Result<(), Error> {
        let path = self.dir.join(TIMELINE);
        if self.timeline.is_none() {
            match Timeline::open(&path) {
                Ok(timeline) => self.timeline = Some(timeline),
                Err(error) if is_absent(&error) => return Ok(()),
                Err(error) => return Err(Error::io(&path)(error)),
            }
        }
        let Some(timeline) = &mut self.timeline else {
            return Ok(());
        };
        let mut parts = 0;
        for _ in 0..SECONDS {
            if parts > PARTS {
                break;
            }
            match timeline.next_second().map_err(Error::io(&path))? {
                Some(second) => {
                    parts += second.gpus.as_ref().map_or(0, Vec::len);
                    parts += second.servers.as_ref().map_or(0, Vec::len);
                    news.seconds.push(second);
                }
                None => {
                    news.damage = news.damage.take().or(timeline.damage().cloned());
                    return Ok(());
                }
            }
        }
        news.more = true;
        Ok(())
    }
}
