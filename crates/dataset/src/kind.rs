//! What kind of file it is, by its first and last bytes.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use crate::{Error, Result};

/// Opens a file that must be parquet.
pub(crate) fn open_parquet(path: &Path) -> Result<File> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = ossmark_files::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let mut head = Vec::new();
    (&mut file).take(4).read_to_end(&mut head).map_err(io)?;
    if head == b"PAR1" {
        let mut tail = [0; 4];
        if bytes < 12 {
            return Err(Error::Truncated {
                path: path.to_owned(),
                bytes,
            });
        }
        file.seek(SeekFrom::End(-4))
            .and_then(|_| file.read_exact(&mut tail))
            .map_err(io)?;
        if &tail != b"PAR1" {
            return Err(Error::Truncated {
                path: path.to_owned(),
                bytes,
            });
        }
        return Ok(file);
    }
    if head == b"PARE" {
        return Err(Error::unsupported(path, "it is encrypted".into()));
    }
    // Protocol 2 and later begin with 0x80 and the protocol's number; pandas has written those since Python 3.
    let pickle = matches!(head[..], [0x80, 2..=5, ..])
        || path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("pkl") || e.eq_ignore_ascii_case("pickle"));
    if pickle {
        return Err(Error::Pickle {
            path: path.to_owned(),
        });
    }
    let found = match head.is_empty() {
        true => "nothing, it is empty".to_owned(),
        false => format!("\"{}\"", head.escape_ascii()),
    };
    Err(Error::NotParquet {
        path: path.to_owned(),
        found,
    })
}
