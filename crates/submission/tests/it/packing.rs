//! The packed file: the same bytes from the same files, and nothing that was changed passes.

use std::fs;
use std::io::Read;

use std::path::Path;

use ossmark_files::{Claim, IfExists};
use ossmark_submission::Error;
use ossmark_submission::pack::{Packed, pack, verify};

use crate::common::{BENCHMARK, Tree, copy};

fn pack_to(input: &Path, submitter: &str, output: &Path) -> Result<Packed, Error> {
    let mut claim = Claim::new(output, IfExists::Refuse).unwrap();
    pack(input, submitter, &mut claim).map(|(packed, _)| packed)
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let tree = Tree::clean();
    let other = tempfile::tempdir().unwrap();
    copy(tree.dir.path(), other.path());
    // A newer file with other rights.
    let file = other.path().join(BENCHMARK).join("Server/user.conf");
    fs::write(&file, fs::read(&file).unwrap()).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let out = tempfile::tempdir().unwrap();
    let packed = [tree.dir.path(), other.path()].map(|input| {
        let output = out.path().join(format!(
            "{}.tar.zst",
            input.file_name().unwrap().to_string_lossy()
        ));
        (
            pack_to(input, "OracleLab", &output).unwrap(),
            fs::read(output).unwrap(),
        )
    });
    assert!(packed[0].1 == packed[1].1, "the bytes differ");
    assert_eq!(
        packed[0].0.files, 61,
        "59 files of the base tree and two documents"
    );
}

#[test]
fn what_was_changed_is_found() {
    let tree = Tree::clean();
    let out = tempfile::tempdir().unwrap();
    let output = out.path().join("a.tar.zst");
    let packed = pack_to(tree.dir.path(), "OracleLab", &output).unwrap();
    assert_eq!(verify(&output).unwrap().sha256, packed.sha256);
    let mut plain = Vec::new();
    zstd::Decoder::new(fs::File::open(&output).unwrap())
        .unwrap()
        .read_to_end(&mut plain)
        .unwrap();
    let repack = |plain: &[u8]| fs::write(&output, zstd::encode_all(plain, 1).unwrap()).unwrap();
    repack(&plain);
    verify(&output).expect("another compression of the same archive");
    // One byte of one file.
    let at = plain.windows(9).position(|w| w == b"Null SUT.").unwrap();
    let mut changed = plain.clone();
    changed[at] = b'n';
    repack(&changed);
    assert!(
        verify(&output)
            .unwrap_err()
            .to_string()
            .contains("the manifest has")
    );
    // Cut off, garbage, empty.
    repack(&plain[..plain.len() / 2]);
    assert!(verify(&output).is_err());
    for garbage in [&b"garbage"[..], b""] {
        fs::write(&output, garbage).unwrap();
        assert!(verify(&output).is_err());
    }
}

/// What a killed ossmark left in the tree is not handed in.
#[test]
fn leftovers_are_not_packed() {
    let tree = Tree::clean();
    let out = tempfile::tempdir().unwrap();
    let files = |name: &str| {
        let output = out.path().join(name);
        let packed = pack_to(tree.dir.path(), "OracleLab", &output).unwrap();
        (packed.files, fs::read(output).unwrap())
    };
    let clean = files("clean.tar.zst");
    for name in [
        ".accuracy.txt.ossmark-part",
        ".mlperf_log_accuracy.json.ossmark-part",
    ] {
        fs::write(tree.path(&format!("{BENCHMARK}/Server/{name}")), "half").unwrap();
    }
    fs::create_dir(tree.path(&format!("{BENCHMARK}/.TEST07.ossmark-part"))).unwrap();
    fs::write(
        tree.path(&format!("{BENCHMARK}/.TEST07.ossmark-part/a")),
        "half",
    )
    .unwrap();
    assert!(files("after.tar.zst") == clean);
}

#[test]
fn links_and_strangers_are_refused() {
    let tree = Tree::clean();
    let output = tree.path("a.tar.zst");
    assert!(
        pack_to(tree.dir.path(), "OracleLap", &output)
            .unwrap_err()
            .to_string()
            .contains("OracleLap")
    );
    std::os::unix::fs::symlink("user.conf", tree.path(&format!("{BENCHMARK}/Server/link")))
        .unwrap();
    assert!(
        pack_to(tree.dir.path(), "OracleLab", &output)
            .unwrap_err()
            .to_string()
            .contains("a link")
    );
}

/// A name that a line of SHA256SUMS cannot hold is refused before anything is written, with what is wrong with it.
#[test]
fn names_with_line_ends_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    for (name, part) in [
        (&b"a\r"[..], "a line end in the name"),
        (b"a\rb", "a line end in the name"),
        (b"a\nb", "a line end in the name"),
        (b"a\xff", "not UTF-8"),
    ] {
        let tree = Tree::clean();
        let file = tree.path(&format!("{BENCHMARK}/Server"));
        let file = file.join(std::ffi::OsStr::from_bytes(name));
        fs::write(file, "x").unwrap();
        let output = tree.path("a.tar.zst");
        let error = pack_to(tree.dir.path(), "OracleLab", &output).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains(part) && error.contains("rename it"),
            "{error}"
        );
        assert!(!error.contains(['\r', '\n']), "{error:?}");
        assert!(!output.exists());
    }
}
