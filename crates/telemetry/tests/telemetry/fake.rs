//! A stand-in for NVIDIA's library, compiled for each way in which it behaves.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use ossmark_telemetry::Settings;
use std::time::Duration;

/// The library as it behaves when compiled with `how` (a macro of `nvml.c`).
pub(crate) fn library(how: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let library = folder.join(format!("libnvml-{how}-{}.so", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/telemetry/nvml.c");
    let output = Command::new("cc")
        .args(["-O1", "-fPIC", "-shared", "-Wall", "-Werror"])
        .arg(format!("-D{how}"))
        .arg(source)
        .arg("-o")
        .arg(&library)
        .output()
        .expect("a C compiler, as LoadGen needs one for C++");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    library
}

/// NVML alone, asked often.
pub(crate) fn nvml(how: &str) -> Settings {
    Settings {
        nvml_library: Some(library(how)),
        ..nothing()
    }
}

/// No source that is there.
pub(crate) fn nothing() -> Settings {
    Settings {
        interval: Duration::from_millis(100),
        nvml: true,
        nvml_library: Some("/no/such/libnvidia-ml.so.1".into()),
        powercap: None,
        command: None,
        prometheus: None,
    }
}
