//! A root directory that holds the interpreter, its libraries and nothing else of the host. Runs in the confined process.
//!
//! What is written to is not made here: each candidate gets a file system of its own on [`WRITABLE`] (worker/layers.py), with
//! what of the interpreter lies below it bound into it again, as [`CandidateRoot`] says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    fs, io,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::statvfs::{FsFlags, statvfs},
    unistd::pivot_root,
};
use serde::Serialize;

/// Where candidates may write: memory of limited size, a new one for each.
pub(super) const WRITABLE: &str = "/tmp";
/// Any file's size, and all that a candidate may have on disk.
pub(super) const DISK_BYTES: u64 = 64 << 20;
/// Where it is put together.
const STAGE: &str = "/.fresh";
/// Devices that are there.
pub(super) const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];
/// The dynamic linker's index, and the links by which Debian chooses among libraries (numpy's BLAS is behind one).
pub(super) const EXTRA: [&str; 2] = ["/etc/ld.so.cache", "/etc/alternatives"];

const NONE: Option<&str> = None;

/// How each candidate's file system is made.
#[derive(Debug, Serialize)]
pub(super) struct CandidateRoot {
    stage: &'static str,
    place: &'static str,
    /// A candidate's working directory, below `place` and empty, whatever of the interpreter lies beside it.
    directory: PathBuf,
    options: String,
    /// Of the interpreter, what lies below `place`.
    binds: Vec<PathBuf>,
    links: Vec<(PathBuf, PathBuf)>,
}

/// What of the host is seen inside, and where.
#[derive(Debug, Default, PartialEq)]
struct HostPaths {
    /// Place inside to the host's real path; no place is inside another.
    binds: BTreeMap<PathBuf, PathBuf>,
    /// The symbolic links by which the interpreter gets there.
    links: BTreeMap<PathBuf, PathBuf>,
}

/// Makes the new root in `directory` and enters it. On failure the process is in its old root, with the rest of the host, and
/// `directory` is as it was.
pub(super) fn enter(paths: &[PathBuf], directory: &Path) -> io::Result<CandidateRoot> {
    // As the table of mounts names it.
    let directory = &step(directory.display(), || fs::canonicalize(directory))?;
    step("making mounts private", || {
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
    })?;
    let sealed = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    step("mounting a tmpfs", || {
        let options = Some("size=1m,mode=755");
        mount(Some("root"), directory, Some("tmpfs"), sealed, options)
    })?;
    build(paths, directory).inspect_err(|_| {
        let _ = umount2(directory, MntFlags::MNT_DETACH);
    })
}

fn build(paths: &[PathBuf], directory: &Path) -> io::Result<CandidateRoot> {
    let host = resolve(paths)?;
    let inside = |path: &Path| directory.join(path.strip_prefix("/").unwrap_or(path));
    for (place, source) in &host.binds {
        bind(source, &inside(place))?;
    }
    for (link, target) in &host.links {
        let link = inside(link);
        if let Some(parent) = link.parent() {
            make_directories(parent)?;
        }
        step(link.display(), || symlink(target, &link))?;
    }
    let extra = EXTRA.iter().map(Path::new).filter(|p| p.exists());
    for path in extra.filter(|p| !host.binds.keys().any(|bound| p.starts_with(bound))) {
        bind(path, &inside(path))?;
    }
    for path in DEVICES.iter().map(Path::new) {
        bind(path, &inside(path))?;
    }
    // As in the reference, where they lead to the empty device.
    for name in ["stdin", "stdout", "stderr"] {
        let link = directory.join("dev").join(name);
        step(link.display(), || symlink("null", &link))?;
    }
    for place in [WRITABLE, STAGE] {
        make_directories(&inside(Path::new(place)))?;
    }
    seal(directory)?;
    step("entering the new root", || {
        std::env::set_current_dir(directory)?;
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        std::env::set_current_dir("/")
    })?;
    let below = |path: &PathBuf| path.starts_with(WRITABLE);
    Ok(CandidateRoot {
        stage: STAGE,
        place: WRITABLE,
        directory: free_name(&host),
        options: format!("size={DISK_BYTES},nr_inodes=4096,mode=700"),
        binds: host.binds.into_keys().filter(below).collect(),
        links: host.links.into_iter().filter(|(l, _)| below(l)).collect(),
    })
}

/// A name below [`WRITABLE`] that nothing of the interpreter has.
fn free_name(host: &HostPaths) -> PathBuf {
    let is_taken = |name: &Path| {
        let mut places = host.binds.keys().chain(host.links.keys());
        places.any(|place| place.starts_with(name))
    };
    let mut name = Path::new(WRITABLE).join("candidate");
    while is_taken(&name) {
        name.as_mut_os_string().push("_");
    }
    name
}

/// Runs one step and names it in its error.
fn step<T, E: Into<io::Error>>(
    what: impl Display,
    run: impl FnOnce() -> Result<T, E>,
) -> io::Result<T> {
    run().map_err(|e| {
        let source: io::Error = e.into();
        io::Error::new(source.kind(), format!("{what}: {source}"))
    })
}

fn make_directories(path: &Path) -> io::Result<()> {
    step(path.display(), || fs::create_dir_all(path))
}

fn bind(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        make_directories(to)?;
    } else {
        to.parent().map_or(Ok(()), make_directories)?;
        step(to.display(), || fs::File::create(to))?;
    }
    step(format_args!("binding {}", from.display()), || {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(from), to, NONE, flags, NONE)
    })
}

/// Makes every mount of the new root read-only, those that came along with what was bound as well. Devices can be written to
/// all the same, but keep their modes and times.
fn seal(directory: &Path) -> io::Result<()> {
    let table = step("/proc/self/mountinfo", || {
        fs::read("/proc/self/mountinfo").map(|t| mount_points(&t))
    })?;
    for point in table.iter().filter(|point| point.starts_with(directory)) {
        // A user namespace may add restrictions to a mount but must keep those that it has.
        let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID;
        flags |= MsFlags::MS_RDONLY;
        let has = step(point.display(), || statvfs(point))?.flags();
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
        step(format_args!("making {} read-only", point.display()), || {
            mount(NONE, point, NONE, flags, NONE)
        })?;
    }
    Ok(())
}

/// The mount points of a mountinfo table, which writes blanks and the like as `\ooo`.
fn mount_points(table: &[u8]) -> Vec<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let field = |line: &[u8]| -> Option<PathBuf> {
        let field = line.split(|&b| b == b' ').nth(4)?;
        let mut path = Vec::new();
        let mut rest = field;
        while let Some((&byte, after)) = rest.split_first() {
            let octal = |d: &[u8]| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok();
            match (byte, after.get(..3).and_then(octal)) {
                (b'\\', Some(code)) => {
                    path.push(code);
                    rest = &after[3..];
                }
                _ => {
                    path.push(byte);
                    rest = after;
                }
            }
        }
        Some(std::ffi::OsString::from_vec(path).into())
    };
    table.split(|&b| b == b'\n').filter_map(field).collect()
}

/// What has to be seen inside so that `paths` lead where they lead here.
fn resolve(paths: &[PathBuf]) -> io::Result<HostPaths> {
    let mut host = HostPaths::default();
    for path in paths {
        let mut here = PathBuf::from("/");
        // Where `here` is seen inside: elsewhere only below WRITABLE, which cannot be a link there.
        let mut place = PathBuf::from("/");
        for part in path.components() {
            let Component::Normal(name) = part else {
                continue;
            };
            let next = here.join(name);
            place.push(name);
            here = step(next.display(), || fs::canonicalize(&next))?;
            if here == next {
                continue;
            }
            if place != Path::new(WRITABLE) {
                host.links.insert(place, here.clone());
                place = here.clone();
            }
        }
        if Path::new(WRITABLE).starts_with(&place) {
            return Err(io::Error::other(format!(
                "the interpreter needs all of {} ({}); expected it in a directory of its own",
                place.display(),
                path.display()
            )));
        }
        host.binds.insert(place, here);
    }
    let places: BTreeSet<_> = host.binds.keys().cloned().collect();
    let covered = |path: &Path| path.ancestors().skip(1).any(|a| places.contains(a));
    host.binds.retain(|place, _| !covered(place));
    host.links.retain(|link, _| !covered(link));
    Ok(host)
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
        let host = resolve(&paths).unwrap();
        let lib = base.join("usr/lib");
        assert_eq!(host.binds, [(lib.clone(), lib.clone())].into());
        assert_eq!(host.links, [(base.join("lib"), lib)].into());
        assert!(resolve(&[base.join("absent")]).is_err());
    }

    #[test]
    fn a_candidates_directory_is_no_part_of_the_interpreter() {
        let mut host = HostPaths::default();
        assert_eq!(free_name(&host), Path::new("/tmp/candidate"));
        host.binds
            .insert("/tmp/candidate/lib".into(), "/tmp/candidate/lib".into());
        host.links
            .insert("/tmp/candidate_".into(), "/opt/python".into());
        assert_eq!(free_name(&host), Path::new("/tmp/candidate__"));
    }

    #[test]
    fn what_holds_the_writable_directory_is_refused_with_its_name() {
        for path in ["/tmp", "/"] {
            let error = resolve(&[path.into()]).unwrap_err().to_string();
            assert!(error.contains(path), "{error}");
        }
    }

    #[test]
    fn mount_points_are_unescaped() {
        let table = b"1 2 0:3 / /a\\040b/c rw - tmpfs x rw\n4 1 0:5 / /d\\134e rw - tmpfs x rw\n";
        assert_eq!(
            mount_points(table),
            [PathBuf::from("/a b/c"), PathBuf::from("/d\\e")]
        );
    }
}
