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

#[cfg(test)]
mod tests {
    use parquet::basic::Encoding;

    use super::*;

    struct Fake(Vec<Page>);

    impl PageReader for Fake {
        fn get_next_page(&mut self) -> Result<Option<Page>> {
            Ok(self.0.pop())
        }
        fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
            Ok(None)
        }
        fn skip_next_page(&mut self) -> Result<()> {
            Ok(())
        }
    }

    impl Iterator for Fake {
        type Item = Result<Page>;
        fn next(&mut self) -> Option<Self::Item> {
            self.0.pop().map(Ok)
        }
    }

    fn data(num_values: u32) -> Page {
        let (encoding, levels) = (Encoding::RLE_DICTIONARY, Encoding::RLE);
        let (def_level_encoding, rep_level_encoding) = (levels, levels);
        // Six bytes of run-length code are enough for any number of equal values.
        let buf = vec![1; 6].into();
        Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding,
            rep_level_encoding,
            statistics: None,
        }
    }

    #[test]
    fn a_few_bytes_cannot_claim_billions() {
        let mut pages = CheckedPages::new(Box::new(Fake(vec![data(u32::MAX)])), 1 << 28);
        assert!(
            pages
                .get_next_page()
                .unwrap_err()
                .to_string()
                .contains(OVER_LIMIT)
        );
        let mut pages = CheckedPages::new(Box::new(Fake(vec![data(1), data(60), data(40)])), 100);
        assert!(
            pages.get_next_page().is_ok() && pages.get_next_page().is_ok(),
            "exactly the limit is accepted"
        );
        assert!(pages.get_next_page().is_err(), "the limit is on the sum");
    }

    #[test]
    fn a_dictionary_cannot_have_more_entries_than_bytes() {
        let dictionary = |num_values| Page::DictionaryPage {
            buf: vec![0; 8].into(),
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let mut pages = CheckedPages::new(Box::new(Fake(vec![dictionary(9), dictionary(8)])), 100);
        assert!(pages.get_next_page().is_ok());
        assert!(
            pages
                .get_next_page()
                .unwrap_err()
                .to_string()
                .contains("claims 9 entries")
        );
    }
}
