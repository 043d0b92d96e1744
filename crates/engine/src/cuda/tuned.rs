//! What was chosen on a device, kept for the next start: a small JSON file. It only names numbers of rows; whatever it says,
//! the kernels that take them are compared with the plain ones before anything is answered. Loading only.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ossmark_files::{make_directories, open, write_whole};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::driver::{DeviceInfo, kernels_sha256};
use super::fast::KernelSet;
use super::thresholds::Thresholds;
use crate::config::ModelConfig;
use crate::dtype::KvDtype;

/// The form of the file.
const FORMAT: u32 = 1;
/// More than any such file has.
const MOST_BYTES: u64 = 1 << 16;

/// What a choice is for: with another device, driver, kernels or shape it is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    format: u32,
    device: String,
    capability: (i32, i32),
    multiprocessors: u32,
    memory_bytes: u64,
    driver: i32,
    kernels_sha256: String,
    /// Layers, hidden, intermediate, experts, experts a token, heads, heads of keys and values, their size, vocabulary.
    shape: [usize; 9],
    kv_fp8: bool,
    /// Most rows and sequences of a step.
    most: (u32, u32),
    overlap: bool,
    left_out: u32,
}

impl Key {
    pub(super) fn new(
        device: &DeviceInfo,
        c: &ModelConfig,
        kv: KvDtype,
        most: (u32, u32),
        (overlap, left_out): (bool, KernelSet),
    ) -> Self {
        Self {
            format: FORMAT,
            device: device.name.clone(),
            capability: device.capability,
            multiprocessors: device.multiprocessors,
            memory_bytes: device.total_bytes,
            driver: device.driver,
            kernels_sha256: kernels_sha256(),
            shape: [
                c.layers.len(),
                c.hidden,
                c.intermediate,
                c.experts,
                c.top_k,
                c.heads,
                c.kv_heads,
                c.head_dim,
                c.vocab_size,
            ],
            kv_fp8: kv == KvDtype::Fp8,
            most,
            overlap,
            left_out: left_out.bits(),
        }
    }

    /// Its file in `folder`.
    pub(super) fn file(&self, folder: &Path) -> PathBuf {
        let text = serde_json::to_string(self).unwrap_or_default();
        let hash = Sha256::digest(text.as_bytes());
        let name: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
        folder.join(format!("kernels-{name}.json"))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    key: Key,
    thresholds: Thresholds,
}

/// What was kept for this, or a word on why there is nothing; neither where no file is there.
pub(super) fn read(file: &Path, key: &Key) -> Result<Option<Thresholds>, String> {
    let mut text = String::new();
    let opened = open(file).and_then(|f| f.take(MOST_BYTES).read_to_string(&mut text));
    match opened {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("{}: {e}", file.display())),
    }
    let kept: Kept = serde_json::from_str(&text)
        .map_err(|e| format!("{}: no choice of kernels: {e}", file.display()))?;
    if kept.key != *key {
        return Err(format!("{}: of another device or model", file.display()));
    }
    Ok(Some(kept.thresholds))
}

/// Keeps it, or says why that cannot be.
pub(super) fn write(file: &Path, key: &Key, thresholds: Thresholds) -> Result<(), String> {
    let kept = Kept {
        key: key.clone(),
        thresholds,
    };
    keep(file, &kept).map_err(|e| format!("{}: {e}", file.display()))
}

fn keep(file: &Path, kept: &Kept) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        make_directories(folder)?;
    }
    write_whole(file, &serde_json::to_vec_pretty(kept)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        let device = DeviceInfo {
            name: name.into(),
            capability: (9, 0),
            multiprocessors: 132,
            total_bytes: 1 << 37,
            driver: 13_000,
        };
        let model = crate::weights::gpt_oss_120b();
        Key::new(
            &device,
            &model,
            KvDtype::Fp8,
            (4096, 256),
            (true, KernelSet::default()),
        )
    }

    #[test]
    fn what_is_kept_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let key = key("one");
        let file = key.file(&folder.path().join("below/it"));
        assert_eq!(read(&file, &key), Ok(None));
        write(&file, &key, Thresholds::all(7)).unwrap();
        write(&file, &key, Thresholds::all(8)).unwrap();
        assert_eq!(read(&file, &key), Ok(Some(Thresholds::all(8))));
    }

    #[test]
    fn what_is_not_ours_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (key("one"), key("other"));
        let file = one.file(folder.path());
        assert_ne!(file, other.file(folder.path()));
        write(&file, &other, Thresholds::all(7)).unwrap();
        assert!(read(&file, &one).unwrap_err().contains("another device"));
        let good = serde_json::to_string(&Kept {
            key: one.clone(),
            thresholds: Thresholds::all(7),
        })
        .unwrap();
        let half = &good[..good.len() / 2];
        let more = good.replace("\"qkv\":7", "\"qkv\":7,\"path\":\"/etc\"");
        let large = good.replace("\"qkv\":7", "\"qkv\":4294967296");
        for text in ["", "[]", half, &more, &large] {
            std::fs::write(&file, text).unwrap();
            assert!(read(&file, &one).is_err(), "{text}");
        }
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(read(&file, &one).is_err());
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(read(&file, &one).is_err() && write(&file, &one, Thresholds::all(7)).is_err());
    }

    #[test]
    fn a_folder_that_cannot_be_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("file");
        std::fs::write(&in_the_way, "").unwrap();
        let key = key("one");
        let file = key.file(&in_the_way);
        assert!(write(&file, &key, Thresholds::all(7)).is_err());
        assert!(read(&file, &key).is_err());
    }
}
