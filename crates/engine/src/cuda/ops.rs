//! [`Ops`] on a CUDA device: checked launches of the kernels in `kernels/`, in the order of one stream.
//!
//! Owns the device, the weights on it, the KV pool and the step's metadata. Results are the CPU's ([`crate::cpu`]) within
//! rounding; activations, keys and values are bf16. Used on the engine thread; loading may happen on another.

use std::ops::Range;
use std::sync::Arc;

use super::attention::args::{Context, Operands};
use super::attention::pool::Pool;
use super::attention::{attention_decode, kv_write, rope};
use super::buffer::CudaBuf;
use super::dense::args::Linear;
use super::dense::linear_wgmma::ColumnParts;
use super::dense::{embed, gather_rows, rmsnorm, sample};
use super::driver::graphs::Graphs;
use super::driver::{Device, DeviceInfo, Memory, load_failed};
use super::moe::args::{Down, GateUp};
use super::moe::routing::CudaRouting;
use super::moe::tiles::KernelVariant;
use super::moe::{router, topk_softmax};
use super::select;
use super::step::Step;
use super::thresholds::Thresholds;
use super::weights::{CudaExperts, CudaLinear, CudaVector, Uploader};
use crate::batch::StepBatch;
use crate::config::ModelConfig;
use crate::dtype::KvDtype;
use crate::executor::{Capacity, ExecError, StepHandle};
use crate::load_error::LoadError;
use crate::load_progress::LoadProgress;
use crate::ops::{KvLayer, OpResult, Ops};
use crate::rope::Rope;
use crate::weights::{DenseTensor, ExpertSources, LinearSource};
use ossmark_protocol::TokenId;

/// A CUDA device for one model.
pub struct CudaOps {
    // Memory before the device: it is freed in this order.
    graphs: Graphs,
    pub(super) planned: Option<Planned>,
    pub(super) uploader: Uploader,
    partials: Memory,
    column_parts: ColumnParts,
    config: ModelConfig,
    rope: Rope,
    pub(super) reference: bool,
    pub(super) thresholds: Thresholds,
    /// Whether all experts' matrices so far are for the mma and wgmma kernels' decoding.
    moderate_scales: bool,
    kv: KvDtype,
    pub(super) device: Arc<Device>,
}

/// What depends on the capacity.
pub(super) struct Planned {
    /// For every position that a sequence can reach.
    rope_table: CudaVector,
    pub(super) pool: Pool,
    /// One for a model; for a head one for each of a step's passes.
    pub(super) steps: Vec<Step>,
    /// That which operations work on.
    pub(super) current: usize,
}

impl Planned {
    pub(super) fn step(&self) -> &Step {
        &self.steps[self.current]
    }
}

impl CudaOps {
    /// Opens device `ordinal` for a model of this shape. Weights can be taken at once, steps after [`CudaOps::plan`].
    ///
    /// # Errors
    /// No usable driver or device, or a shape beyond the kernels' limits.
    pub fn open(config: &ModelConfig, ordinal: u32) -> Result<Self, LoadError> {
        select::check_shape(config)?;
        let rope = Rope::new(config.head_dim, config.rope_theta, config.yarn.as_ref());
        Self::on(&Arc::new(Device::open(ordinal)?), config, rope)
    }

    /// Operations of a draft head for this model, on the same device and in the same stream.
    ///
    /// # Errors
    /// A shape beyond the kernels' limits, no room on the device.
    pub fn beside(&self, config: &ModelConfig, rope: Rope) -> Result<Self, LoadError> {
        select::check_shape(config)?;
        let mut ops = Self::on(&self.device, config, rope)?;
        (ops.kv, ops.reference) = (self.kv, self.reference);
        ops.uploader.progress = Arc::clone(&self.uploader.progress);
        Ok(ops)
    }

    fn on(device: &Arc<Device>, config: &ModelConfig, rope: Rope) -> Result<Self, LoadError> {
        let uploader = Uploader::new(device)?;
        Ok(Self {
            graphs: Graphs::default(),
            planned: None,
            uploader,
            partials: attention_decode::partials(device, config)?,
            column_parts: ColumnParts::new(device)?,
            config: config.clone(),
            rope,
            reference: false,
            thresholds: Thresholds::counted(config),
            moderate_scales: true,
            kv: KvDtype::AsActivations,
            device: Arc::clone(device),
        })
    }

    /// Allocates the KV pool and the slots of `capacity`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn plan(&mut self, capacity: &Capacity) -> Result<(), LoadError> {
        self.graphs.clear();
        self.plan_steps(capacity, 1, None)
    }

    /// The same for the passes of a head, which keep their tokens where `model`'s steps do.
    ///
    /// # Errors
    /// The device has no room; the model was not planned.
    pub fn plan_passes(&mut self, capacity: &Capacity, model: &Self) -> Result<(), LoadError> {
        let planned = model.planned.as_ref().ok_or_else(not_planned);
        let tokens = planned.map_err(load_failed)?.step().tokens_memory();
        let passes = 1 + capacity.draft_tokens as usize;
        self.plan_steps(capacity, passes, Some(tokens))
    }

    fn plan_steps(
        &mut self,
        capacity: &Capacity,
        steps: usize,
        tokens: Option<&Arc<Memory>>,
    ) -> Result<(), LoadError> {
        // Gone before there is another.
        self.planned = None;
        let table = rope::table(&self.rope, capacity.max_context as usize);
        let step = |_| Step::new(&self.device, capacity, tokens.map(Arc::clone));
        self.planned = Some(Planned {
            rope_table: self.uploader.f32(&self.device, &table)?,
            pool: Pool::new(&self.device, &self.config, capacity, self.kv)?,
            steps: (0..steps).map(step).collect::<Result<_, _>>()?,
            current: 0,
        });
        Ok(())
    }

    /// From now on, computes with the reference kernels alone, or with the best there are.
    pub fn use_reference_kernels(&mut self, reference: bool) {
        let launched = self.device.take_launched();
        if reference && !self.reference {
            self.device.note_tried(launched);
        }
        self.reference = reference;
    }

    /// From now on, starts each kernel when the one before it has ended, and not while it ends.
    pub fn disable_overlap(&mut self) {
        self.device.disable_overlap();
    }

    /// Where the bytes of weights are counted that are copied from now on.
    pub(crate) fn set_progress(&mut self, progress: &Arc<LoadProgress>) {
        self.uploader.progress = Arc::clone(progress);
    }

    /// How the next [`CudaOps::plan`] keeps keys and values.
    pub fn set_kv_dtype(&mut self, kv: KvDtype) {
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
    pub fn time_ms(&mut self, work: impl FnOnce(&mut Self) -> OpResult) -> Result<f32, ExecError> {
        self.device.bind()?;
        let event = |d: &Device| d.event().map_err(|e| ExecError(e.to_string()));
        let (from, to) = (event(&self.device)?, event(&self.device)?);
        self.device.record(&from)?;
        work(self)?;
        self.device.record(&to)?;
        self.device.wait(&to)?;
        self.device.elapsed_ms(&from, &to)
    }

    pub(super) fn parts(&mut self) -> Result<(&Device, &mut Planned), ExecError> {
        let planned = self.planned.as_mut().ok_or_else(not_planned)?;
        Ok((&self.device, planned))
    }

    pub(super) fn context(&self) -> Result<Context<'_>, ExecError> {
        let planned = self.planned.as_ref().ok_or_else(not_planned)?;
        Ok(Context {
            device: &self.device,
            step: planned.step(),
            config: &self.config,
            pool: &planned.pool,
            rope_table: &planned.rope_table,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.planned.as_ref().map_or(0, |p| p.step().rows)
    }

    fn experts_variant(&self, rows: usize) -> KernelVariant {
        let (d, c) = (&self.device, &self.config);
        let rows = (rows, self.thresholds.experts);
        select::experts(d, c, self.reference, self.moderate_scales, rows)
    }
}

pub(super) fn not_planned() -> ExecError {
    ExecError("a step before CudaOps::plan".into())
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

    fn begin(&mut self, batch: &StepBatch) -> OpResult {
        // The engine thread is not the one that loaded the model.
        self.device.bind()?;
        let (device, planned) = self.parts()?;
        planned.steps[0].begin(device, batch)
    }

    fn record(&mut self, rows: usize, work: &mut dyn FnMut(&mut Self) -> OpResult) -> OpResult {
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
        (!self.reference)
            .then(|| self.graphs.size_for(rows))
            .flatten()
    }

    fn replay(&mut self, rows: usize) -> OpResult {
        let Some(graph) = self.graphs.get(rows) else {
            return Err(ExecError(format!("no step of {rows} rows was recorded")));
        };
        // SAFETY: `record`'s work used the planned buffers, which `plan` clears the recordings with, and the model's,
        // which its runner keeps beside these operations; the step's metadata is there, for this many rows.
        unsafe { self.device.launch_graph(graph) }
    }

    fn end(&mut self, step: StepHandle) -> OpResult {
        let (device, planned) = self.parts()?;
        planned.steps[0].end(device, step)
    }

    fn tokens(&mut self, step: StepHandle) -> Result<Vec<TokenId>, ExecError> {
        self.device.bind()?;
        let (device, planned) = self.parts()?;
        planned.steps[0].tokens(device, step)
    }

    fn read(&mut self, buf: &CudaBuf, rows: usize) -> Result<Vec<f32>, ExecError> {
        buf.check_shape("read", rows, buf.cols)?;
        let mut bytes = vec![0; rows * buf.cols * 2];
        self.device.read(&buf.memory, &mut bytes)?;
        let value = |b: &[u8; 2]| half::bf16::from_le_bytes(*b).to_f32();
        Ok(bytes.as_chunks::<2>().0.iter().map(value).collect())
    }

    fn write(&mut self, buf: &mut CudaBuf, values: &[f32]) -> OpResult {
        buf.check_shape("write", values.len() / buf.cols, buf.cols)?;
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|v| half::bf16::from_f32(*v).to_le_bytes())
            .collect();
        self.device.write(&bytes, &buf.memory)
    }

    fn embed(&mut self, table: &CudaLinear, out: &mut CudaBuf) -> OpResult {
        let (device, planned) = self.parts()?;
        embed::embed(device, planned.step(), table, out)
    }

    fn rmsnorm(
        &mut self,
        x: &CudaBuf,
        weight: &CudaVector,
        rows: usize,
        out: &mut CudaBuf,
    ) -> OpResult {
        let eps = self.config.norm_eps;
        rmsnorm::rmsnorm(&self.device, (x, None), weight, rows, eps, out)
    }

    fn add(&mut self, x: &mut CudaBuf, delta: &CudaBuf) -> OpResult {
        rmsnorm::add(&self.device, x, delta, self.rows())
    }

    fn add_rmsnorm(
        &mut self,
        x: &mut CudaBuf,
        delta: &CudaBuf,
        weight: &CudaVector,
        rows: usize,
        out: &mut CudaBuf,
    ) -> OpResult {
        let eps = self.config.norm_eps;
        rmsnorm::rmsnorm(&self.device, (x, Some(delta)), weight, rows, eps, out)
    }

    fn linear(&mut self, x: &CudaBuf, w: &CudaLinear, rows: usize, out: &mut CudaBuf) -> OpResult {
        let device = &self.device;
        let product = Linear {
            device,
            x,
            w,
            rows,
            out,
        };
        let from = self.thresholds.of_linear(&self.config, w.outs, w.cols);
        select::linear(self.reference, &product, from, &self.column_parts)
    }

    fn rope(&mut self, qkv: &mut CudaBuf) -> OpResult {
        rope::rope(&self.context()?, qkv)
    }

    fn kv_write(&mut self, qkv: &CudaBuf, layer: KvLayer) -> OpResult {
        kv_write::kv_write(&self.context()?, qkv, layer)
    }

    fn rope_kv(&mut self, qkv: &mut CudaBuf, layer: KvLayer) -> OpResult {
        select::rope_kv(self.reference, &self.context()?, qkv, layer)
    }

    fn attention(
        &mut self,
        qkv: &CudaBuf,
        layer: KvLayer,
        sinks: &CudaVector,
        out: &mut CudaBuf,
    ) -> OpResult {
        let operands = Operands {
            context: self.context()?,
            layer,
            qkv,
            sinks,
            out,
        };
        select::attention(self.reference, &operands, &self.partials)
    }

    fn route(&mut self, logits: &CudaBuf, routing: &mut CudaRouting) -> OpResult {
        let variant = self.experts_variant(self.rows());
        let (device, planned) = self.parts()?;
        topk_softmax::topk_softmax(device, planned.step(), logits, routing, variant)
    }

    fn router(
        &mut self,
        x: &CudaBuf,
        w: &CudaLinear,
        rows: usize,
        logits: &mut CudaBuf,
        routing: &mut CudaRouting,
    ) -> OpResult {
        let from = self.thresholds.router;
        if self.reference || !select::router_takes(&self.device, w, (rows, from)) {
            self.linear(x, w, rows, logits)?;
            return self.route(logits, routing);
        }
        let variant = self.experts_variant(rows);
        let (device, planned) = self.parts()?;
        let product = Linear {
            device,
            x,
            w,
            rows: planned.step().rows,
            out: logits,
        };
        router::router(planned.step(), &product, routing, variant)
    }

    fn moe_gate_up(&mut self, x: &CudaBuf, w: &CudaExperts, routing: &mut CudaRouting) -> OpResult {
        select::moe_gate_up(&GateUp {
            device: &self.device,
            rows: self.rows(),
            x,
            w,
            limit: self.config.swiglu_limit,
            routing,
        })
    }

    fn moe_down(
        &mut self,
        routing: &mut CudaRouting,
        w: &CudaExperts,
        out: &mut CudaBuf,
    ) -> OpResult {
        let product = Down {
            device: &self.device,
            rows: self.rows(),
            w,
            routing,
        };
        select::moe_down(&product, out)
    }

    fn gather_rows(
        &mut self,
        x: &CudaBuf,
        logit_rows: Range<usize>,
        out: &mut CudaBuf,
    ) -> OpResult {
        let (device, planned) = self.parts()?;
        gather_rows::gather_rows(device, planned.step(), x, logit_rows, out)
    }

    fn sample(&mut self, logits: &CudaBuf, logit_rows: Range<usize>) -> OpResult {
        let (device, planned) = self.parts()?;
        sample::sample(device, planned.step(), logits, logit_rows)
    }
}
