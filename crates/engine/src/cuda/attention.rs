//! Launches of the kernels that work on the KV pool, and the pool.

pub(crate) mod args;
pub(crate) mod attention_decode;
pub(crate) mod attention_prefill;
pub(crate) mod attention_reference;
pub(crate) mod kv_write;
pub(crate) mod pool;
pub(crate) mod rope;
pub(crate) mod rope_kv;
pub(crate) mod splits;
