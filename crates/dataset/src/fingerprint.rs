//! Two sha256 sums: of the file's bytes, to compare with what a publisher prints, and of the prompts' tokens, which stays
//! the same when a file is written again with another encoding or other columns.

use std::{io::Read, path::Path, sync::Arc};

use sha2::{Digest, Sha256};

use crate::{Error, Result, Tables};

/// sha256 of a file's bytes in lower-case hex, read in pieces.
pub fn file_sha256(path: &Path) -> Result<String> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = ossmark_files::open(path).map_err(io)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece).map_err(io)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&piece[..n]),
        }
    }
}

/// The fingerprint of one file or several: of several, that of the lines that `sha256sum` prints of them in their folder.
pub(crate) fn files_sha256(tables: &Tables) -> Result<String> {
    let sums = tables.paths().map(|path| Ok((file_sha256(path)?, path)));
    let sums = sums.collect::<Result<Vec<_>>>()?;
    if let [(sum, _)] = &sums[..] {
        return Ok(sum.clone());
    }
    let mut hasher = Sha256::new();
    for (sum, path) in &sums {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        hasher.update(format!("{sum}  {name}\n"));
    }
    Ok(hex(&hasher.finalize()))
}

/// sha256 over the prompts alone, in lower-case hex: the number of prompts as 8 bytes, then for each prompt its length as
/// 8 bytes and its tokens as 4 bytes each, all little-endian. Lengths are part of it, so that moving a token from one
/// prompt to the next changes the sum.
pub fn content_sha256(prompts: &[Arc<[u32]>]) -> String {
    let mut hasher = Sha256::new();
    hasher.update((prompts.len() as u64).to_le_bytes());
    let mut bytes = Vec::new();
    for prompt in prompts {
        bytes.clear();
        bytes.extend_from_slice(&(prompt.len() as u64).to_le_bytes());
        bytes.extend(prompt.iter().flat_map(|token| token.to_le_bytes()));
        hasher.update(&bytes);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
