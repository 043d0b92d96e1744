//! Opening a checkpoint: which folder, which files, which tensors; all of it untrusted.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::Dtype;
use serde::Deserialize;

use super::header;
use super::tensor::{DenseTensor, PackedTensor, Stored};
use crate::load_error::LoadError;

/// An index lists a few thousand names.
const MAX_INDEX_BYTES: u64 = 256 << 20;

struct Shard {
    path: PathBuf,
    map: Arc<Mmap>,
}

struct Found {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

/// All tensors of a checkpoint, by name, in memory maps.
pub struct Checkpoint {
    dir: PathBuf,
    shards: Vec<Shard>,
    tensors: HashMap<String, Found>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(deserialize_with = "header::weight_map")]
    weight_map: Vec<(String, String)>,
}

impl Checkpoint {
    /// Opens the checkpoint of a folder: the folder itself, or its `original/` where only that holds weights.
    ///
    /// # Errors
    /// No checkpoint there, unreadable files, damaged or lying headers, an index that points outside the folder.
    pub fn open(root: &Path) -> Result<Self, LoadError> {
        let candidates = [root.to_path_buf(), root.join("original")];
        let has_weights = |d: &PathBuf| {
            d.join("model.safetensors").exists() || d.join("model.safetensors.index.json").exists()
        };
        let dir = candidates
            .into_iter()
            .find(|d| d.join("config.json").exists() && has_weights(d))
            .ok_or_else(|| LoadError::NoCheckpoint(root.into()))?;
        let mut this = Self {
            shards: Vec::new(),
            tensors: HashMap::new(),
            dir,
        };
        let single = this.dir.join("model.safetensors");
        if single.exists() {
            this.add_shard(&single, None)?;
            return Ok(this);
        }
        let index_path = this.dir.join("model.safetensors.index.json");
        let index = read_index(&index_path)?;
        let mut by_file: HashMap<&str, Vec<&str>> = HashMap::new();
        for (tensor, file) in &index.weight_map {
            by_file.entry(file).or_default().push(tensor);
        }
        let mut files: Vec<_> = by_file.into_iter().collect();
        files.sort_unstable();
        for (file, tensors) in files {
            let mut parts = Path::new(file).components();
            if !matches!(
                (parts.next(), parts.next()),
                (Some(Component::Normal(_)), None)
            ) {
                let what = format!(
                    "names the file {file:?}, expected a plain file name in the same folder"
                );
                return Err(LoadError::Damaged {
                    path: index_path,
                    what,
                });
            }
            this.add_shard(&this.dir.join(file), Some(&tensors))?;
        }
        Ok(this)
    }

    /// The folder that holds the configuration and the weights.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes of all mapped files.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.shards.iter().map(|s| s.map.len() as u64).sum()
    }

    /// The tensors' names, in order.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Type, shape and bytes of a tensor of [`Checkpoint::names`], as they are stored.
    pub(crate) fn stored(&self, name: &str) -> Result<(String, &[u8]), LoadError> {
        let t = self.find(name, "")?;
        let kind = format!("{:?} {:?}", t.dtype, t.shape);
        Ok((kind, &self.shards[t.shard].map[t.bytes.clone()]))
    }

    /// A vector of whole numbers of 64 bits, of exactly this length.
    pub(crate) fn whole_numbers(&self, name: &str, len: usize) -> Result<Vec<i64>, LoadError> {
        let t = self.find(name, "")?;
        if t.dtype != Dtype::I64 || t.shape != [len] {
            return Err(self.mismatch(name, t, format!("I64 [{len}]")));
        }
        let bytes = &self.shards[t.shard].map[t.bytes.clone()];
        let numbers = bytes.as_chunks::<8>().0.iter();
        Ok(numbers.map(|b| i64::from_le_bytes(*b)).collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn add_shard(&mut self, path: &Path, wanted: Option<&[&str]>) -> Result<(), LoadError> {
        let read = |source| LoadError::Read {
            path: path.into(),
            source,
        };
        let damaged = |what: String| LoadError::Damaged {
            path: path.into(),
            what,
        };
        let file = ossmark_files::open(path).map_err(read)?;
        // SAFETY: the map is read-only and private to this process. The file must not be changed while it is mapped,
        // which no program can enforce: README says so, and a file cut short under us ends the process by SIGBUS,
        // never by a wrong answer from freed memory.
        #[allow(unsafe_code, reason = "a memory map, see SAFETY")]
        let map = unsafe { Mmap::map(&file) }.map_err(|e| match e.kind() {
            std::io::ErrorKind::OutOfMemory => damaged(
                "cannot be mapped into memory; `ulimit -v` must leave room for the weights".into(),
            ),
            _ => read(e),
        })?;
        let entries = header::read(&map).map_err(|e| {
            damaged(format!(
                "is not a whole safetensors file: it {e} (file size {} bytes)",
                map.len()
            ))
        })?;
        let listed: Option<HashSet<&str>> = wanted.map(|names| names.iter().copied().collect());
        let shard = self.shards.len();
        for entry in entries {
            let is_wanted = listed.as_ref().is_none_or(|l| l.contains(&*entry.name));
            if is_wanted {
                let found = Found {
                    shard,
                    dtype: entry.dtype,
                    shape: entry.shape,
                    bytes: entry.bytes,
                };
                self.tensors.insert(entry.name, found);
            }
        }
        for name in wanted.unwrap_or_default() {
            if self.tensors.get(*name).is_none_or(|t| t.shard != shard) {
                return Err(damaged(format!(
                    "does not hold tensor {name}, which the index says it does"
                )));
            }
        }
        self.shards.push(Shard {
            path: path.into(),
            map: Arc::new(map),
        });
        Ok(())
    }

    fn find(&self, name: &str, hint: &'static str) -> Result<&Found, LoadError> {
        let missing = || LoadError::MissingTensor {
            path: self.dir.clone(),
            name: name.into(),
            hint,
        };
        self.tensors.get(name).ok_or_else(missing)
    }

    fn mismatch(&self, name: &str, t: &Found, expected: String) -> LoadError {
        LoadError::TensorMismatch {
            path: self.shards[t.shard].path.clone(),
            name: name.into(),
            found: format!("{:?} {:?}", t.dtype, t.shape),
            expected,
        }
    }

    /// A bf16 or f32 tensor of exactly this shape.
    pub(crate) fn dense(&self, name: &str, shape: &[usize]) -> Result<DenseTensor, LoadError> {
        let t = self.find(name, "")?;
        let stored = match t.dtype {
            Dtype::BF16 if t.shape == shape => Stored::Bf16,
            Dtype::F32 if t.shape == shape => Stored::F32,
            _ => return Err(self.mismatch(name, t, format!("BF16 or F32 {shape:?}"))),
        };
        let (rows, cols) = match *shape {
            [cols] => (1, cols),
            [rows, cols] => (rows, cols),
            _ => unreachable!("dense tensors of the model are vectors and matrices"),
        };
        Ok(DenseTensor {
            map: self.shards[t.shard].map.clone(),
            bytes: t.bytes.clone(),
            stored,
            rows,
            cols,
        })
    }

    /// MXFP4 blocks and scales of `experts` matrices `out x inp`, seen as `experts * out` rows.
    pub(super) fn packed(
        &self,
        blocks: &str,
        scales: &str,
        [experts, out, inp]: [usize; 3],
    ) -> Result<PackedTensor, LoadError> {
        let hint = "; this engine takes experts in MXFP4 only (tensors *_blocks and *_scales, or *.blocks and *.scales), \
                    not as dense bf16";
        let u8_of = |name: &str, shape: &[usize]| {
            let t = self.find(name, hint)?;
            if t.dtype != Dtype::U8 || t.shape != shape {
                return Err(self.mismatch(name, t, format!("U8 {shape:?}")));
            }
            Ok((self.shards[t.shard].map.clone(), t.bytes.clone()))
        };
        let (blocks_map, blocks) = u8_of(blocks, &[experts, out, inp / 32, 16])?;
        let (scales_map, scales) = u8_of(scales, &[experts, out, inp / 32])?;
        Ok(PackedTensor {
            blocks_map,
            blocks,
            scales_map,
            scales,
            rows: experts * out,
            cols: inp,
            random: None,
        })
    }
}

fn read_index(path: &Path) -> Result<Index, LoadError> {
    let read = |source| LoadError::Read {
        path: path.into(),
        source,
    };
    let len = std::fs::metadata(path).map_err(read)?.len();
    let damaged = |what| LoadError::Damaged {
        path: path.into(),
        what,
    };
    if len > MAX_INDEX_BYTES {
        return Err(damaged(format!(
            "is {len} bytes, expected at most {MAX_INDEX_BYTES}"
        )));
    }
    let text = ossmark_files::read(path).map_err(read)?;
    serde_json::from_slice(ossmark_files::without_mark(&text))
        .map_err(|e| damaged(format!("is not a safetensors index: {e}")))
}
