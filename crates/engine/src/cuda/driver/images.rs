//! The kernels' images and sources that the binary carries, and the compilation of the sources where no image fits.
//! Loading only.

use cudarc::nvrtc::{self, CompileOptions};
use sha2::{Digest, Sha256};

use crate::load_error::LoadError;

/// One `kernels/*.cu`.
pub(crate) struct Module {
    pub(crate) name: &'static str,
    /// The whole text, includes and all.
    source: &'static str,
    /// Architecture (`90a`) and image, as built by nvcc.
    images: &'static [(&'static str, &'static [u8])],
}

include!(concat!(env!("OUT_DIR"), "/modules.rs"));

pub(crate) fn modules() -> &'static [Module] {
    MODULES
}

/// Whether this binary carries kernels for a device of this compute capability, so that it needs no compiler.
pub fn has_kernels_for((major, minor): (i32, i32)) -> bool {
    let fits = |arch: &str| arch == format!("{major}{minor}a") || arch == format!("{major}{minor}");
    let has = |module: &Module| module.images.iter().any(|(arch, _)| fits(arch));
    modules().iter().all(has)
}

/// Of all that this binary can give a device.
pub(crate) fn kernels_sha256() -> String {
    let mut all = Sha256::new();
    for module in modules() {
        all.update(module.name);
        all.update(module.source);
        for (arch, image) in module.images {
            all.update(arch);
            all.update(image);
        }
    }
    all.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// The oldest architecture with the instructions that the kernels use (bf16 conversion and products).
const OLDEST: (i32, i32) = (8, 0);

impl Module {
    /// What the driver is given for a device of this compute capability.
    pub(crate) fn image(&self, (major, minor): (i32, i32)) -> Result<Vec<u8>, LoadError> {
        if (major, minor) < OLDEST {
            return Err(LoadError::Cuda(format!(
                "the device has compute capability {major}.{minor}, expected {}.{} or later: use a newer GPU, or --engine \
                 cpu (run, generate, infer, serve)",
                OLDEST.0, OLDEST.1
            )));
        }
        let exact = [format!("{major}{minor}a"), format!("{major}{minor}")];
        let built = self
            .images
            .iter()
            .find(|(arch, _)| exact.iter().any(|e| e == arch));
        match built {
            Some((_, image)) => Ok(image.to_vec()),
            None => self.compile((major, minor)),
        }
    }

    fn compile(&self, (major, minor): (i32, i32)) -> Result<Vec<u8>, LoadError> {
        // SAFETY: only asks the system's loader for the library; NVRTC's initialisers have no requirements.
        if !unsafe { nvrtc::sys::is_culib_present() } {
            return Err(LoadError::Cuda(format!(
                "this binary has no kernels for compute capability {major}.{minor} (it has {}), and NVRTC (libnvrtc.so), \
                 which could compile them, was not found: install the CUDA toolkit's NVRTC, or build ossmark with nvcc and \
                 OSSMARK_CUDA_ARCHS={major}{minor}",
                match self.images {
                    [] => "none".into(),
                    images => images
                        .iter()
                        .map(|(a, _)| format!("sm_{a}"))
                        .collect::<Vec<_>>()
                        .join(", "),
                }
            )));
        }
        let suffix = if (major, minor) == (9, 0) { "a" } else { "" };
        let options = CompileOptions {
            name: Some(format!("{}.cu", self.name)),
            options: vec![
                format!("--gpu-architecture=compute_{major}{minor}{suffix}"),
                "--std=c++17".into(),
            ],
            ..CompileOptions::default()
        };
        let ptx = nvrtc::compile_ptx_with_opts(self.source, options).map_err(|e| {
            let what = match e {
                nvrtc::CompileError::CompileError { log, .. } => log.to_string_lossy().into_owned(),
                other => other.to_string(),
            };
            LoadError::Cuda(format!("NVRTC could not compile {}.cu: {what}", self.name))
        })?;
        // Ends with the zero that the driver looks for.
        Ok(ptx.as_bytes().map(<[u8]>::to_vec).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_text_compiles_under_nvrtc() {
        // SAFETY: only asks the system's loader for the library.
        if !unsafe { nvrtc::sys::is_culib_present() } {
            let required = std::env::var_os("OSSMARK_REQUIRE_NVRTC").is_some_and(|v| v == "1");
            assert!(
                !required,
                "OSSMARK_REQUIRE_NVRTC=1, and libnvrtc.so was not found"
            );
            println!("SKIPPED: no NVRTC");
            return;
        }
        for module in modules() {
            for capability in [(9, 0), (8, 0)] {
                let ptx = module.compile(capability).unwrap_or_else(|e| panic!("{e}"));
                let text = String::from_utf8_lossy(&ptx);
                assert!(text.contains(".visible .entry"), "{}: {text}", module.name);
                println!(
                    "{} for {capability:?}: {} bytes of PTX",
                    module.name,
                    ptx.len()
                );
            }
        }
    }

    #[test]
    fn old_devices_are_refused_with_a_way_out() {
        let error = modules()[0].image((7, 5)).expect_err("too old").to_string();
        assert!(
            error.contains("7.5") && error.contains("--engine cpu"),
            "{error}"
        );
    }
}
