//! Heads as data: read, changed, written again.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<u8>,
}

/// A configuration and its tensors.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) config: Value,
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

impl Head {
    pub(crate) fn read(dir: &Path) -> Self {
        let file = std::fs::read(dir.join("model.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let owned = |(name, t): (String, TensorView<'_>)| {
            let tensor = Tensor {
                dtype: t.dtype(),
                shape: t.shape().to_vec(),
                data: t.data().to_vec(),
            };
            (name, tensor)
        };
        Self {
            config: serde_json::from_slice(&std::fs::read(dir.join("config.json")).unwrap())
                .unwrap(),
            tensors: tensors.tensors().into_iter().map(owned).collect(),
        }
    }

    pub(crate) fn put_f32(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        let tensor = Tensor {
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            data: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        self.tensors.insert(name.into(), tensor);
    }

    pub(crate) fn put_i64(&mut self, name: &str, values: &[i64]) {
        let tensor = Tensor {
            dtype: Dtype::I64,
            shape: vec![values.len()],
            data: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        self.tensors.insert(name.into(), tensor);
    }

    pub(crate) fn rename(&mut self, to: impl Fn(&str) -> String) {
        let old = std::mem::take(&mut self.tensors);
        self.tensors = old.into_iter().map(|(name, t)| (to(&name), t)).collect();
    }

    /// The same numbers as f32.
    pub(crate) fn widen(&mut self) {
        for tensor in self.tensors.values_mut() {
            assert_eq!(tensor.dtype, Dtype::BF16);
            let pairs = tensor.data.as_chunks::<2>().0.iter();
            tensor.data = pairs.flat_map(|b| [0, 0, b[0], b[1]]).collect();
            tensor.dtype = Dtype::F32;
        }
    }

    pub(crate) fn write(&self, dir: &Path) {
        std::fs::write(dir.join("config.json"), self.config.to_string()).unwrap();
        write_tensors(&dir.join("model.safetensors"), self.tensors.iter());
    }

    pub(crate) fn write_sharded(&self, dir: &Path) {
        std::fs::write(dir.join("config.json"), self.config.to_string()).unwrap();
        let file = |i: usize| format!("model-0000{}-of-00002.safetensors", i + 1);
        for shard in 0..2 {
            let tensors = self.tensors.iter().skip(shard).step_by(2);
            write_tensors(&dir.join(file(shard)), tensors);
        }
        let map: BTreeMap<_, _> = self
            .tensors
            .keys()
            .enumerate()
            .map(|(i, name)| (name, file(i % 2)))
            .collect();
        let index = json!({ "metadata": {}, "weight_map": map });
        std::fs::write(dir.join("model.safetensors.index.json"), index.to_string()).unwrap();
    }
}

fn write_tensors<'a>(path: &Path, tensors: impl Iterator<Item = (&'a String, &'a Tensor)>) {
    let views = tensors.map(|(name, t)| {
        (
            name,
            TensorView::new(t.dtype, t.shape.clone(), &t.data).unwrap(),
        )
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}
