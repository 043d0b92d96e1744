//! A page reader that believes no count. Parquet pages say how many values they hold, and the decoders allocate and loop
//! by that number: a few hundred bytes can claim billions. This sits between the file and the decoders.

use parquet::{
    column::page::{Page, PageMetadata, PageReader},
    errors::{ParquetError, Result},
};

/// Passes pages on until their counts exceed a limit or contradict their own size.
pub(crate) struct CheckedPages {
    inner: Box<dyn PageReader>,
    left: u64,
}

/// The text by which the refusal is recognised again behind the parquet crate's error type.
pub(crate) const OVER_LIMIT: &str = "more values than accepted";

impl CheckedPages {
    /// At most `limit` values are let through.
    pub(crate) fn new(inner: Box<dyn PageReader>, limit: u64) -> Self {
        Self { inner, left: limit }
    }

    fn check(&mut self, page: &Page) -> Result<()> {
        let values = u64::from(page.num_values());
        match page {
            // Dictionary entries are at least one byte long (booleans, at a bit each, are never put into dictionaries).
            Page::DictionaryPage { buf, .. } if values > buf.len() as u64 => {
                Err(ParquetError::General(format!(
                    "a dictionary of {} bytes claims {values} entries",
                    buf.len()
                )))
            }
            Page::DictionaryPage { .. } => Ok(()),
            _ => {
                self.left = self
                    .left
                    .checked_sub(values)
                    .ok_or_else(|| ParquetError::General(OVER_LIMIT.into()))?;
                Ok(())
            }
        }
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.inner.get_next_page()?;
        if let Some(page) = &page {
            self.check(page)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.inner.at_record_boundary()
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
