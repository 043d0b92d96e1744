//! [`Ops`] on a CUDA device: checked launches of the kernels in `kernels/`, in the order of one stream.
//!
//! Owns the device, the weights on it, the KV pool and the step's metadata. Results are the CPU's ([`crate::cpu`]) within
//! rounding; activations, keys and values are bf16. Used on the engine thread; loading may happen on another.

#![allow(
    unsafe_code,
    reason = "launching kernels and calling the driver, each with its reason"
)]

mod attention;
mod attention_packed;
mod attention_prefill;
mod buffer;
mod check;
mod device;
mod embed;
mod experts_down;
mod experts_down_thin;
mod experts_down_wide;
mod experts_pack;
mod experts_up;
mod experts_up_thin;
mod experts_up_wide;
mod gather_rows;
mod graphs;
mod images;
mod kv_write;
mod linear;
mod linear_thin;
mod linear_wide;
mod load;
mod measure;
mod memory;
mod pool;
mod regime;
mod rmsnorm;
mod rope;
mod rope_kv;
mod route;
mod router;
mod sample;
mod step;
mod synthetic;
mod weights;

use std::ops::Range;
use std::sync::Arc;

pub use self::buffer::CudaBuf;
use self::device::Device;
pub use self::device::{DeviceInfo, Memory, cuda_devices};
use self::graphs::Graphs;
pub use self::load::{CudaSettings, load_cuda, load_cuda_synthetic};
pub use self::measure::{MeasureSettings, Timing, measure};
use self::pool::Pool;
use self::regime::Regime;
pub use self::route::CudaRouting;
use self::step::Step;
use self::weights::Uploader;
pub use self::weights::{CudaExperts, CudaLinear, CudaVector};
use crate::batch::StepBatch;
use crate::config::ModelConfig;
use crate::executor::{Capacity, ExecError, StepHandle};
use crate::load::KvDtype;
use crate::load_error::LoadError;
use crate::load_progress::LoadProgress;
use crate::ops::{Done, KvLayer, Ops};
use crate::rope::Rope;
use crate::types::TokenId;
use crate::weights::{DenseTensor, ExpertSources, LinearSource};

/// A CUDA device for one model.
pub struct CudaOps {
    // Memory before the device: it is freed in this order.
    graphs: Graphs,
    planned: Option<Planned>,
    uploader: Uploader,
    partials: Memory,
    config: ModelConfig,
    plain: bool,
    /// Whether all experts' matrices so far are for the thin and wide kernels' decoding.
    moderate_scales: bool,
    kv: KvDtype,
    device: Device,
}

/// What depends on the capacity.
struct Planned {
    /// For every position that a sequence can reach.
    rope_table: CudaVector,
    pool: Pool,
    step: Step,
}

impl CudaOps {
    /// Opens device `ordinal` for a model of this shape. Weights can be taken at once, steps after [`CudaOps::plan`].
    ///
    /// # Errors
    /// No usable driver or device, or a shape beyond the kernels' limits.
    pub fn open(config: &ModelConfig, ordinal: u32) -> Result<Self, LoadError> {
        for (name, found, most) in [
            ("head_dim", config.head_dim, attention::MOST_HEAD_DIM),
            ("experts", config.experts, route::MOST_EXPERTS),
            ("experts a token", config.top_k, route::MOST_CHOICES),
            ("the vocabulary", config.vocab_size, sample::MOST_VOCAB),
            ("hidden", config.hidden, rmsnorm::MOST_COLS),
            // MXFP4 groups make it a multiple of 32 anyway; 16-byte accesses rely on it.
            ("hidden beyond groups of 8", config.hidden % 8, 0),
        ] {
            if found > most {
                return Err(LoadError::Cuda(format!(
                    "{name} is {found}, and the CUDA kernels take at most {most}: use --engine cpu (run, generate, infer, serve)"
                )));
            }
        }
        let device = Device::open(ordinal)?;
        let uploader = Uploader::new(&device)?;
        Ok(Self {
            graphs: Graphs::default(),
            planned: None,
            uploader,
            partials: attention_packed::partials(&device, config)?,
            config: config.clone(),
            plain: false,
            moderate_scales: true,
            kv: KvDtype::AsActivations,
            device,
        })
    }

    /// Allocates the KV pool and the slots of `capacity`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn plan(&mut self, capacity: &Capacity) -> Result<(), LoadError> {
        self.graphs.clear();
        self.planned = None;
        let c = &self.config;
        let rope = Rope::new(c.head_dim, c.rope_theta, c.yarn.as_ref());
        let table = rope::table(&rope, capacity.max_context as usize);
        self.planned = Some(Planned {
            rope_table: self.uploader.f32(&self.device, &table)?,
            pool: Pool::new(&self.device, &self.config, capacity, self.kv)?,
            step: Step::new(&self.device, capacity)?,
        });
        Ok(())
    }

    /// From now on, computes with the plain kernels alone, the reference on the device, or with the best there are.
    pub fn use_plain_kernels(&mut self, plain: bool) {
        self.plain = plain;
    }

    /// From now on, starts each kernel when the one before it has ended, and not while it ends.
    pub fn do_not_overlap(&mut self) {
        self.device.do_not_overlap();
    }

    /// Where the bytes of weights are counted that are copied from now on.
    pub(crate) fn report_to(&mut self, progress: &Arc<LoadProgress>) {
        self.uploader.progress = Arc::clone(progress);
    }

    /// How the next [`CudaOps::plan`] keeps keys and values.
    pub fn keep_kv(&mut self, kv: KvDtype) {
        self.kv = kv;
    }

    /// The device.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    /// Milliseconds that the device spends between the start and the end of what `work` launches. For measurements.
    ///
    /// # Errors
    /// The device is lost.
    pub fn time_ms(&mut self, work: impl FnOnce(&mut Self) -> Done) -> Result<f32, ExecError> {
        self.device.bind()?;
        let event = |d: &Device| d.event().map_err(|e| ExecError(e.to_string()));
        let (from, to) = (event(&self.device)?, event(&self.device)?);
        self.device.record(&from)?;
        work(self)?;
        self.device.record(&to)?;
        self.device.wait(&to)?;
        self.device.elapsed_ms(&from, &to)
    }

    fn parts(&mut self) -> Result<(&Device, &mut Planned), ExecError> {
        match &mut self.planned {
            Some(planned) => Ok((&self.device, planned)),
            None => Err(ExecError("a step before CudaOps::plan".into())),
        }
    }

    fn rows(&self) -> usize {
        self.planned.as_ref().map_or(0, |p| p.step.rows)
    }

    /// The kernels for the experts of a step of this many rows, by shape alone: all layers have one.
    fn experts_regime(&self, rows: usize, routing: &CudaRouting) -> Regime {
        if self.plain {
            return Regime::Plain;
        }
        let (c, d) = (&self.config, &self.device);
        let wide = self.moderate_scales
            && experts_up_wide::takes(d, 2 * c.intermediate, c.hidden)
            && experts_up_wide::takes(d, c.hidden, c.intermediate);
        regime::experts(rows, routing, wide)
    }
}

impl Ops for CudaOps {
    type Buf = CudaBuf;
    type Vector = CudaVector;
    type Linear = CudaLinear;
    type Experts = CudaExperts;
    type Routing = CudaRouting;

    fn vector(&mut self, source: &DenseTensor) -> Result<CudaVector, LoadError> {
        self.uploader.f32(&self.device, &source.to_vec())
    }

    fn linear_weights(&mut self, source: &LinearSource) -> Result<CudaLinear, LoadError> {
        let outs: usize = source.weight.iter().map(DenseTensor::rows).sum();
        let cols = source.weight[0].cols();
        let weight = self.device.memory("a matrix of weights", outs * cols * 2)?;
        let mut at = 0;
        for part in &source.weight {
            self.uploader.bf16(&self.device, part, &weight, at)?;
            at += part.rows() * cols * 2;
        }
        let bias: Vec<f32> = source.bias.iter().flat_map(DenseTensor::to_vec).collect();
        let bias = (!bias.is_empty())
            .then(|| self.uploader.f32(&self.device, &bias))
            .transpose()?;
        Ok(CudaLinear {
            weight,
            bias,
            outs,
            cols,
        })
    }

    fn expert_weights(&mut self, source: &ExpertSources) -> Result<CudaExperts, LoadError> {
        let (d, u) = (&self.device, &mut self.uploader);
        let up = u.matrices(d, &source.up, &source.up_bias)?;
        let down = u.matrices(d, &source.down, &source.down_bias)?;
        self.moderate_scales &= up.moderate_scales && down.moderate_scales;
        Ok(CudaExperts {
            up,
            down,
            experts: source.up_bias.rows(),
        })
    }

    fn buf(&mut self, rows: usize, cols: usize) -> Result<CudaBuf, LoadError> {
        Ok(CudaBuf {
            memory: self.device.memory("activations", rows * cols * 2)?,
            rows,
            cols,
        })
    }

    fn routing(&mut self, rows: usize) -> Result<CudaRouting, LoadError> {
        CudaRouting::new(&self.device, &self.config, rows)
    }

    fn begin(&mut self, batch: &StepBatch) -> Done {
        // The engine thread is not the one that loaded the model.
        self.device.bind()?;
        let (device, planned) = self.parts()?;
        planned.step.begin(device, batch)
    }

    fn record(&mut self, rows: usize, work: &mut dyn FnMut(&mut Self) -> Done) -> Done {
        // The upload of the step's metadata has to be over before the next step is begun, for nobody ends this one.
        self.device.synchronize()?;
        self.device.begin_recording()?;
        let done = work(self);
        // In any case, so that the stream can be used again.
        let graph = self.device.end_recording();
        done?;
        self.graphs.keep(rows, graph?);
        Ok(())
    }

    fn forget(&mut self) {
        self.graphs.clear();
    }

    fn recorded(&self, rows: usize) -> Option<usize> {
        // What is recorded launches the best kernels.
        (!self.plain).then(|| self.graphs.size_for(rows)).flatten()
    }

    fn replay(&mut self, rows: usize) -> Done {
        let Some(graph) = self.graphs.get(rows) else {
            return Err(ExecError(format!("no step of {rows} rows was recorded")));
        };
        // SAFETY: `record`'s work used the planned buffers, which `plan` clears the recordings with, and the model's,
        // which its runner keeps beside these operations; the step's metadata is there, for this many rows.
        unsafe { self.device.launch_graph(graph) }
    }

    fn end(&mut self, step: StepHandle) -> Done {
        let (device, planned) = self.parts()?;
        planned.step.end(device, step)
    }

    fn tokens(&mut self, step: StepHandle) -> Result<Vec<TokenId>, ExecError> {
        self.device.bind()?;
        let (device, planned) = self.parts()?;
        planned.step.tokens(device, step)
    }

    fn read(&mut self, buf: &CudaBuf, rows: usize) -> Result<Vec<f32>, ExecError> {
        buf.holds("read", rows, buf.cols)?;
        let mut bytes = vec![0; rows * buf.cols * 2];
        self.device.read(&buf.memory, &mut bytes)?;
        let value = |b: &[u8; 2]| half::bf16::from_le_bytes(*b).to_f32();
        Ok(bytes.as_chunks::<2>().0.iter().map(value).collect())
    }

    fn write(&mut self, buf: &mut CudaBuf, values: &[f32]) -> Done {
        buf.holds("write", values.len() / buf.cols, buf.cols)?;
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|v| half::bf16::from_f32(*v).to_le_bytes())
            .collect();
        self.device.write(&bytes, &buf.memory)
    }

    fn embed(&mut self, table: &CudaLinear, out: &mut CudaBuf) -> Done {
        let (device, planned) = self.parts()?;
        embed::embed(device, &planned.step, table, out)
    }

    fn rmsnorm(
        &mut self,
        x: &CudaBuf,
        weight: &CudaVector,
        rows: usize,
        out: &mut CudaBuf,
    ) -> Done {
        rmsnorm::rmsnorm(&self.device, x, weight, rows, self.config.norm_eps, out)
    }

    fn add(&mut self, x: &mut CudaBuf, delta: &CudaBuf) -> Done {
        rmsnorm::add(&self.device, x, delta, self.rows())
    }

    fn add_rmsnorm(
        &mut self,
        x: &mut CudaBuf,
        delta: &CudaBuf,
        weight: &CudaVector,
        rows: usize,
        out: &mut CudaBuf,
    ) -> Done {
        rmsnorm::add_rmsnorm(
            &self.device,
            (x, delta),
            weight,
            rows,
            self.config.norm_eps,
            out,
        )
    }

    fn linear(&mut self, x: &CudaBuf, w: &CudaLinear, rows: usize, out: &mut CudaBuf) -> Done {
        regime::linear(&self.device, self.plain, x, w, rows, out)
    }

    fn rope(&mut self, qkv: &mut CudaBuf) -> Done {
        let Some(planned) = &self.planned else {
            return Err(ExecError("a step before CudaOps::plan".into()));
        };
        rope::rope(
            &self.device,
            &planned.step,
            &self.config,
            &planned.rope_table,
            qkv,
        )
    }

    fn kv_write(&mut self, qkv: &CudaBuf, layer: KvLayer) -> Done {
        let Some(planned) = &self.planned else {
            return Err(ExecError("a step before CudaOps::plan".into()));
        };
        kv_write::kv_write(
            &self.device,
            &planned.step,
            &self.config,
            &planned.pool,
            qkv,
            layer,
        )
    }

    fn rope_kv(&mut self, qkv: &mut CudaBuf, layer: KvLayer) -> Done {
        if self.plain || !rope_kv::takes(&self.config) {
            self.rope(qkv)?;
            return self.kv_write(qkv, layer);
        }
        let Some(planned) = &self.planned else {
            return Err(ExecError("a step before CudaOps::plan".into()));
        };
        rope_kv::rope_kv(
            &self.device,
            &planned.step,
            &self.config,
            &planned.pool,
            &planned.rope_table,
            qkv,
            layer,
        )
    }

    fn attention(
        &mut self,
        qkv: &CudaBuf,
        layer: KvLayer,
        sinks: &CudaVector,
        out: &mut CudaBuf,
    ) -> Done {
        let Some(Planned { pool, step, .. }) = &self.planned else {
            return Err(ExecError("a step before CudaOps::plan".into()));
        };
        let config = &self.config;
        let operands = attention::Operands {
            step,
            config,
            pool,
            layer,
            qkv,
            sinks,
            out,
        };
        regime::attention(&self.device, self.plain, &operands, &self.partials)
    }

    fn route(&mut self, logits: &CudaBuf, routing: &mut CudaRouting) -> Done {
        let regime = self.experts_regime(self.rows(), routing);
        let (device, planned) = self.parts()?;
        route::route(device, &planned.step, logits, routing, regime)
    }

    fn router(
        &mut self,
        x: &CudaBuf,
        w: &CudaLinear,
        rows: usize,
        logits: &mut CudaBuf,
        routing: &mut CudaRouting,
    ) -> Done {
        if self.plain || !regime::router_takes(rows, w) {
            self.linear(x, w, rows, logits)?;
            return self.route(logits, routing);
        }
        let regime = self.experts_regime(rows, routing);
        let (device, planned) = self.parts()?;
        router::router(device, &planned.step, x, w, logits, routing, regime)
    }

    fn experts_up(&mut self, x: &CudaBuf, w: &CudaExperts, routing: &mut CudaRouting) -> Done {
        let (rows, limit) = (self.rows(), self.config.swiglu_limit);
        regime::experts_up(&self.device, rows, x, w, limit, routing)
    }

    fn experts_down(
        &mut self,
        routing: &mut CudaRouting,
        w: &CudaExperts,
        out: &mut CudaBuf,
    ) -> Done {
        regime::experts_down(&self.device, self.rows(), w, routing, out)
    }

    fn gather_rows(&mut self, x: &CudaBuf, heads: Range<usize>, out: &mut CudaBuf) -> Done {
        let (device, planned) = self.parts()?;
        gather_rows::gather_rows(device, &planned.step, x, heads, out)
    }

    fn sample(&mut self, logits: &CudaBuf, heads: Range<usize>) -> Done {
        let (device, planned) = self.parts()?;
        sample::sample(device, &planned.step, logits, heads)
    }
}
