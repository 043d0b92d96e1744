//! A root directory that holds the interpreter, its libraries and nothing else of the host. Runs in the confined process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::statvfs::{FsFlags, statvfs},
    unistd::pivot_root,
};

/// Where candidates may write: memory of limited size, emptied after each.
pub(super) const WRITABLE: &str = "/tmp";
/// Devices that are there.
pub(super) const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];
/// The dynamic linker's index.
pub(super) const EXTRA_FILES: [&str; 1] = ["/etc/ld.so.cache"];
/// Pids (threads, too) in the namespace, where the kernel counts them per namespace (Linux 6.14). The superuser's are not
/// bounded by RLIMIT_NPROC.
const MAX_PIDS: &str = "1024";

const NONE: Option<&str> = None;

/// Makes the new root in `directory` and enters it. On failure the process is in its old root, with the rest of the host.
pub(super) fn enter(paths: &[PathBuf], directory: &Path) -> io::Result<()> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    let sealed = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("root"),
        directory,
        Some("tmpfs"),
        sealed,
        Some("size=1m,mode=755"),
    )?;
    let (binds, links) = resolve(paths)?;
    let inside = |path: &Path| directory.join(path.strip_prefix("/").unwrap_or(path));
    for path in &binds {
        bind(path, &inside(path), MsFlags::MS_RDONLY)?;
    }
    for (link, target) in &links {
        let link = inside(link);
        if let Some(parent) = link.parent() {
            fs::create_dir_all(parent)?;
        }
        symlink(target, link)?;
    }
    for path in EXTRA_FILES.iter().map(Path::new).filter(|p| p.exists()) {
        bind(path, &inside(path), MsFlags::MS_RDONLY)?;
    }
    for path in DEVICES.iter().map(Path::new) {
        bind(path, &inside(path), MsFlags::empty())?;
    }
    // As in the reference, where they lead to the empty device.
    for name in ["stdin", "stdout", "stderr"] {
        symlink("null", directory.join("dev").join(name))?;
    }
    limit_pids(directory);
    let writable = inside(Path::new(WRITABLE));
    fs::create_dir(&writable)?;
    let size = format!(
        "size={},nr_inodes=4096,mode=700",
        super::confine::DISK_BYTES
    );
    let data = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(
        Some("tmp"),
        &writable,
        Some("tmpfs"),
        data,
        Some(size.as_str()),
    )?;
    mount(
        NONE,
        directory,
        NONE,
        MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | sealed,
        NONE,
    )?;
    std::env::set_current_dir(directory)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    std::env::set_current_dir("/")
}

fn limit_pids(directory: &Path) {
    let proc = directory.join("proc");
    let mounted = fs::create_dir(&proc).is_ok()
        && mount(Some("proc"), &proc, Some("proc"), MsFlags::empty(), NONE).is_ok();
    if mounted {
        let _ = fs::write(proc.join("sys/kernel/pid_max"), MAX_PIDS);
        let _ = umount2(&proc, MntFlags::MNT_DETACH);
    }
    let _ = fs::remove_dir(&proc);
}

fn bind(from: &Path, to: &Path, extra: MsFlags) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
    } else {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::File::create(to)?;
    }
    mount(
        Some(from),
        to,
        NONE,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        NONE,
    )?;
    if extra.is_empty() {
        return Ok(());
    }
    // A user namespace may add restrictions to a mount but must keep those that it has.
    let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | extra;
    let has = statvfs(to)?.flags();
    for (found, keep) in [
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if has.contains(found) {
            flags |= keep;
        }
    }
    Ok(mount(NONE, to, NONE, flags, NONE)?)
}

/// Real paths to bind, none inside another, and the symbolic links by which the interpreter gets there.
fn resolve(paths: &[PathBuf]) -> io::Result<(BTreeSet<PathBuf>, BTreeMap<PathBuf, PathBuf>)> {
    let (mut real, mut links) = (BTreeSet::new(), BTreeMap::new());
    for path in paths {
        let mut here = PathBuf::from("/");
        for part in path.components() {
            if let Component::Normal(name) = part {
                let next = here.join(name);
                here = fs::canonicalize(&next)?;
                if here != next {
                    links.insert(next, here.clone());
                }
            }
        }
        real.insert(here);
    }
    let covered = |path: &Path| path.ancestors().skip(1).any(|a| real.contains(a));
    let binds: BTreeSet<_> = real.iter().filter(|p| !covered(p)).cloned().collect();
    links.retain(|link, _| !covered(link));
    Ok((binds, links))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_on_the_way_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(base.join("usr/lib/deep")).unwrap();
        symlink("usr/lib", base.join("lib")).unwrap();
        let paths = ["lib/deep", "usr/lib", "lib"].map(|p| base.join(p));
        let (binds, links) = resolve(&paths).unwrap();
        assert_eq!(binds, [base.join("usr/lib")].into());
        assert_eq!(links, [(base.join("lib"), base.join("usr/lib"))].into());
        assert!(resolve(&[base.join("absent")]).is_err());
    }
}
