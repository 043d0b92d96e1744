//! One CUDA device: its context, one stream, the loaded kernels, and memory that frees itself. Owns every call of the
//! driver; knows nothing of the model. Used by one thread at a time, the engine thread once the model is loaded.

use std::ffi::{CString, c_void};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use cudarc::driver::{result, sys};

use super::devices::{DeviceInfo, device_info, get};
use super::errors::{failed, lost};
use super::images;
use super::memory::{Context, Event, Memory, Pinned};
use crate::cuda::fast::{FastKernel, KernelSet};
use crate::cuda::kernels::{KERNELS, Kernel};
use crate::executor::ExecError;
use crate::load_error::LoadError;
use crate::ops::OpResult;

/// Per cent of a multiprocessor's memory that kernels ask for as shared memory.
const SHARED_SHARE: i32 = 58;

/// A device with its kernels.
pub(crate) struct Device {
    pub(crate) context: Arc<Context>,
    functions: Vec<sys::CUfunction>,
    modules: Vec<sys::CUmodule>,
    info: DeviceInfo,
    max_shared: i32,
    /// Kernels may be put on the device while the one ahead of them still runs (`next_may_start` in
    /// `kernels/include/common.h`).
    overlap: AtomicBool,
    /// A [`KernelSet`]: those that are not used on this device.
    left_out: AtomicU32,
    /// Kernels that were launched since somebody asked, a bit each.
    launched: AtomicU64,
    /// A [`KernelSet`]: those that were launched for what is compared with the reference kernels' result.
    tried: AtomicU32,
}

// A bit for each.
const _: () = assert!(KERNELS.len() <= 64);

// SAFETY: modules and functions may be used from any thread.
unsafe impl Send for Device {}
// SAFETY: as above, by several at once: the driver locks by itself.
unsafe impl Sync for Device {}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.context.bind();
        for module in &self.modules {
            // SAFETY: loaded in `Device::open`, unloaded once; no launch can follow.
            let _ = unsafe { result::module::unload(*module) };
        }
    }
}

impl Device {
    /// Opens device `ordinal` and loads its kernels.
    pub(crate) fn open(ordinal: u32) -> Result<Self, LoadError> {
        let device = get(ordinal)?;
        let info = device_info(device)?;
        let largest =
            sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        // SAFETY: the device was just given by the driver.
        let max_shared = unsafe { result::device::get_attribute(device, largest) }
            .map_err(|e| failed("cuDeviceGetAttribute", e))?;
        // Before any context: an architecture that no image fits should cost nothing.
        let images = images::modules()
            .iter()
            .map(|m| Ok((m.name, m.image(info.capability)?)))
            .collect::<Result<Vec<_>, LoadError>>()?;
        // SAFETY: released when `Context` is dropped.
        let context = unsafe { result::primary_ctx::retain(device) }
            .map_err(|e| failed("cuDevicePrimaryCtxRetain", e))?;
        // SAFETY: just retained.
        unsafe { result::ctx::set_current(context) }.map_err(|e| failed("cuCtxSetCurrent", e))?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking)
            .map_err(|e| failed("cuStreamCreate", e))?;
        let context = Arc::new(Context {
            device,
            context,
            stream,
        });
        let mut opened = Self {
            context,
            functions: Vec::new(),
            modules: Vec::new(),
            overlap: AtomicBool::new(info.capability.0 >= 9),
            info,
            max_shared,
            left_out: AtomicU32::new(0),
            launched: AtomicU64::new(0),
            tried: AtomicU32::new(0),
        };
        let mut loaded = Vec::new();
        for (name, image) in images {
            // SAFETY: a cubin as nvcc wrote it, or PTX that ends with a zero.
            let module = unsafe { result::module::load_data(image.as_ptr().cast()) }
                .map_err(|e| failed(&format!("loading the kernels of {name}.cu"), e))?;
            opened.modules.push(module);
            loaded.push((name, module));
        }
        for (_, name, module) in KERNELS {
            let (_, module) = loaded
                .iter()
                .find(|(loaded, _)| loaded == module)
                .ok_or_else(|| {
                    LoadError::Cuda(format!(
                        "the binary carries no {module}.cu, which holds kernel {name}"
                    ))
                })?;
            let symbol = CString::new(*name).expect("names have no zeros");
            // SAFETY: the module was loaded above and lives as long as `opened`.
            let function = unsafe { result::module::get_function(*module, symbol) }
                .map_err(|e| failed(&format!("looking up kernel {name}"), e))?;
            // A multiprocessor whose share of shared memory has to change for the next kernel must run empty first, which would
            // undo the overlap: all kernels get one share (132 of 228 KiB on Hopper: what two blocks of the largest need), but
            // those that take all there is. A hint: a driver that does not take it changes nothing else.
            let share = if name.ends_with("_wgmma") {
                100
            } else {
                SHARED_SHARE
            };
            let carveout =
                sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT;
            // SAFETY: just looked up.
            let _ = unsafe { result::function::set_function_attribute(function, carveout, share) };
            if name.ends_with("_wgmma") {
                let max =
                    sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                // SAFETY: just looked up; these kernels have no other shared memory.
                unsafe { result::function::set_function_attribute(function, max, max_shared) }
                    .map_err(|e| failed(&format!("shared memory for kernel {name}"), e))?;
            }
            opened.functions.push(function);
        }
        Ok(opened)
    }

    pub(crate) fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Bytes of shared memory that a block of a `_wgmma` kernel may ask for.
    pub(crate) fn max_shared(&self) -> usize {
        self.max_shared.max(0) as usize
    }

    /// From now on, each kernel is started when the one before it has ended.
    pub(crate) fn disable_overlap(&self) {
        self.overlap.store(false, Relaxed);
    }

    /// The kernels that are not used on this device.
    pub(crate) fn left_out(&self) -> KernelSet {
        KernelSet::from_bits(self.left_out.load(Relaxed))
    }

    /// From now on, these are not used.
    pub(crate) fn leave_out(&self, kernels: KernelSet) {
        self.left_out.store(kernels.bits(), Relaxed);
    }

    /// Whether this one is used where it takes the work.
    pub(crate) fn uses(&self, kernel: FastKernel) -> bool {
        !self.left_out().contains(kernel)
    }

    /// The kernels made for speed that were launched since this was asked last.
    pub(crate) fn take_launched(&self) -> KernelSet {
        KernelSet::of_launched(self.launched.swap(0, Relaxed))
    }

    /// These were launched for a result that is compared.
    pub(crate) fn note_tried(&self, kernels: KernelSet) {
        self.tried.fetch_or(kernels.bits(), Relaxed);
    }

    /// The kernels whose result is compared.
    pub(crate) fn take_tried(&self) -> KernelSet {
        KernelSet::from_bits(self.tried.swap(0, Relaxed))
    }

    /// Makes the device the calling thread's; once per step is enough, since a step stays on its thread.
    pub(crate) fn bind(&self) -> OpResult {
        self.context.bind().map_err(|e| lost("cuCtxSetCurrent", e))
    }

    /// Bytes that can still be allocated.
    pub(crate) fn free_bytes(&self) -> Result<u64, LoadError> {
        self.context
            .bind()
            .map_err(|e| failed("cuCtxSetCurrent", e))?;
        let (free, _) = result::mem_get_info().map_err(|e| failed("cuMemGetInfo", e))?;
        Ok(free as u64)
    }

    /// Allocates; the content is undefined. `what` is for the message.
    pub(crate) fn memory(&self, what: &str, bytes: usize) -> Result<Memory, LoadError> {
        self.context
            .bind()
            .map_err(|e| failed("cuCtxSetCurrent", e))?;
        // The driver refuses empty allocations.
        let bytes = bytes.max(16);
        // SAFETY: freed when `Memory` is dropped; nobody reads it before it was written.
        let at = unsafe { result::malloc_sync(bytes) }.map_err(|e| match e.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => LoadError::DeviceMemory {
                what: what.into(),
                bytes: bytes as u64,
                free: result::mem_get_info().map_or(0, |(free, _)| free as u64),
            },
            _ => failed("cuMemAlloc", e),
        })?;
        Ok(Memory {
            context: Arc::clone(&self.context),
            at,
            bytes,
        })
    }

    /// Allocates zeroed host memory of this many words that the device can reach.
    pub(crate) fn pinned(&self, words: usize) -> Result<Pinned, LoadError> {
        self.context
            .bind()
            .map_err(|e| failed("cuCtxSetCurrent", e))?;
        // SAFETY: freed when `Pinned` is dropped.
        let at = unsafe { result::malloc_host(words.max(1) * 4, 0) }
            .map_err(|e| failed("cuMemHostAlloc", e))?;
        // SAFETY: this many bytes were just allocated.
        unsafe { std::ptr::write_bytes(at.cast::<u8>(), 0, words.max(1) * 4) };
        Ok(Pinned {
            context: Arc::clone(&self.context),
            at: at.cast(),
            words: words.max(1),
        })
    }

    pub(crate) fn event(&self) -> Result<Event, LoadError> {
        self.context
            .bind()
            .map_err(|e| failed("cuCtxSetCurrent", e))?;
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT)
            .map_err(|e| failed("cuEventCreate", e))?;
        Ok(Event {
            context: Arc::clone(&self.context),
            event,
        })
    }

    /// Marks this point of the stream.
    pub(crate) fn record(&self, event: &Event) -> OpResult {
        // SAFETY: both belong to this context and are alive.
        unsafe { result::event::record(event.event, self.context.stream) }
            .map_err(|e| lost("cuEventRecord", e))
    }

    /// Waits until the device has passed the point.
    pub(crate) fn wait(&self, event: &Event) -> OpResult {
        // SAFETY: as above.
        unsafe { result::event::synchronize(event.event) }
            .map_err(|e| lost("cuEventSynchronize", e))
    }

    /// Milliseconds between two points that the device has passed.
    pub(crate) fn elapsed_ms(&self, from: &Event, to: &Event) -> Result<f32, ExecError> {
        // SAFETY: as above.
        unsafe { result::event::elapsed(from.event, to.event) }
            .map_err(|e| lost("cuEventElapsedTime", e))
    }

    /// Waits for all work.
    pub(crate) fn synchronize(&self) -> OpResult {
        // SAFETY: the stream lives as long as the context.
        unsafe { result::stream::synchronize(self.context.stream) }
            .map_err(|e| lost("cuStreamSynchronize", e))
    }

    /// Copies the first `bytes` of `from` to `to` + `offset`, in the stream's order. `from` may not be changed before the
    /// device has passed a later event.
    pub(crate) fn upload(
        &self,
        from: &mut Pinned,
        bytes: usize,
        to: &Memory,
        offset: usize,
    ) -> OpResult {
        // The driver's calls say nothing of copies of no bytes.
        if bytes == 0 {
            return Ok(());
        }
        let from = from
            .bytes()
            .get(..bytes)
            .filter(|_| offset + bytes <= to.bytes);
        let from = from.ok_or_else(|| {
            ExecError(format!(
                "upload of {bytes} bytes to {offset} of {}",
                to.bytes
            ))
        })?;
        // SAFETY: both ranges were checked; pinned memory stays where it is until it is dropped, which waits.
        unsafe { result::memcpy_htod_async(to.at + offset as u64, from, self.context.stream) }
            .map_err(|e| lost("cuMemcpyHtoDAsync", e))
    }

    /// Copies these bytes of `from` to the same place of `to`, likewise.
    pub(crate) fn upload_range(
        &self,
        from: &mut Pinned,
        bytes: Range<usize>,
        to: &Memory,
    ) -> OpResult {
        if bytes.is_empty() {
            return Ok(());
        }
        let part = from.bytes().get(bytes.clone());
        let part = part
            .filter(|_| bytes.end <= to.bytes)
            .ok_or_else(|| ExecError(format!("upload of bytes {bytes:?} to {} bytes", to.bytes)))?;
        // SAFETY: both ranges were checked; pinned memory stays where it is until it is dropped, which waits.
        unsafe { result::memcpy_htod_async(to.at + bytes.start as u64, part, self.context.stream) }
            .map_err(|e| lost("cuMemcpyHtoDAsync", e))
    }

    /// Copies these words of `from` to `to`, there from `first` on, in the stream's order: there when a later event has passed.
    pub(crate) fn download(
        &self,
        from: &Memory,
        words: Range<usize>,
        to: &mut Pinned,
        first: usize,
    ) -> OpResult {
        if words.is_empty() {
            return Ok(());
        }
        let (too_long, bytes) = (words.end * 4 > from.bytes, words.len() * 4);
        let to = to.bytes().get_mut(first * 4..first * 4 + bytes);
        let to = to.filter(|_| !too_long).ok_or_else(|| {
            ExecError(format!(
                "download of words {words:?} of {} bytes",
                from.bytes
            ))
        })?;
        let at = from.at + words.start as u64 * 4;
        // SAFETY: both ranges were checked; pinned memory stays where it is until it is dropped, which waits.
        unsafe { result::memcpy_dtoh_async(to, at, self.context.stream) }
            .map_err(|e| lost("cuMemcpyDtoHAsync", e))
    }

    /// Waits for all work, and copies the first bytes out.
    pub(crate) fn read(&self, from: &Memory, to: &mut [u8]) -> OpResult {
        self.bind()?;
        self.synchronize()?;
        if to.len() > from.bytes {
            return Err(ExecError(format!(
                "read of {} of {} bytes",
                to.len(),
                from.bytes
            )));
        }
        if to.is_empty() {
            return Ok(());
        }
        // SAFETY: the range was checked; the call returns when the copy is done.
        unsafe { result::memcpy_dtoh_sync(to, from.at) }.map_err(|e| lost("cuMemcpyDtoH", e))
    }

    /// Waits for all work, and copies `from` to the first bytes.
    pub(crate) fn write(&self, from: &[u8], to: &Memory) -> OpResult {
        self.bind()?;
        self.synchronize()?;
        if from.len() > to.bytes {
            return Err(ExecError(format!(
                "write of {} to {} bytes",
                from.len(),
                to.bytes
            )));
        }
        if from.is_empty() {
            return Ok(());
        }
        // In the stream's order: the synchronous call may return before the copy is done, and this stream does not wait
        // for the default one.
        // SAFETY: the range was checked; `from` outlives the wait below.
        unsafe { result::memcpy_htod_async(to.at, from, self.context.stream) }
            .map_err(|e| lost("cuMemcpyHtoDAsync", e))?;
        self.synchronize()
    }

    /// Fills all of `to` with a byte, in the stream's order.
    pub(crate) fn fill(&self, to: &Memory, byte: u8) -> OpResult {
        // SAFETY: the whole allocation, which is alive.
        unsafe { result::memset_d8_async(to.at, byte, to.bytes, self.context.stream) }
            .map_err(|e| lost("cuMemsetD8Async", e))
    }

    /// Starts a kernel in the stream's order. Nothing is started when a dimension of the grid is zero.
    ///
    /// # Safety
    /// `A` is the kernel's argument structure, its pointers lead to live memory of this device that is large enough for
    /// what the kernel does with these arguments and this grid, and everything that it reads was written.
    pub(crate) unsafe fn launch<A: Copy>(
        &self,
        kernel: Kernel,
        grid: (u32, u32),
        block: u32,
        args: &A,
    ) -> OpResult {
        // SAFETY: the caller's promise.
        unsafe { self.launch_shared(kernel, grid, block, 0, args) }
    }

    /// The same with `shared` bytes of shared memory besides what the kernel declares.
    ///
    /// # Safety
    /// As for [`Device::launch`]; and it is as much as the kernel uses.
    pub(crate) unsafe fn launch_shared<A: Copy>(
        &self,
        kernel: Kernel,
        grid: (u32, u32),
        block: u32,
        shared: u32,
        args: &A,
    ) -> OpResult {
        if grid.0 == 0 || grid.1 == 0 {
            return Ok(());
        }
        self.launched.fetch_or(1 << (kernel as u32), Relaxed);
        let mut params = [std::ptr::from_ref(args).cast_mut().cast::<c_void>()];
        let mut overlap = sys::CUlaunchAttribute {
            id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            // All of the union: the driver may look at what the attribute does not use.
            value: sys::CUlaunchAttributeValue { pad: [0; 64] },
        };
        overlap.value.programmaticStreamSerializationAllowed = 1;
        let config = sys::CUlaunchConfig {
            gridDimX: grid.0,
            gridDimY: grid.1,
            gridDimZ: 1,
            blockDimX: block,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: shared,
            hStream: self.context.stream,
            attrs: &mut overlap,
            numAttrs: u32::from(self.overlap.load(Relaxed)),
        };
        // SAFETY: the function belongs to this context; the driver copies the arguments and attributes before it returns;
        // every kernel waits for those before it by itself; the rest is the caller's promise.
        unsafe {
            sys::cuLaunchKernelEx(
                &config,
                self.functions[kernel as usize],
                params.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        }
        .result()
        .map_err(|e| {
            lost(
                &format!("launch of kernel {}", KERNELS[kernel as usize].1),
                e,
            )
        })
    }
}
