//! System V shared memory that outlives who made it: the kernel keeps such a segment when its maker is killed, as
//! PostgreSQL's lock on its data folder is. Found by the maker's pid in `/proc/sysvipc/shm`, removed with `ipcrm`.
//!
//! Read by the session's end, the reaper and the sweep, once the processes are gone.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use super::process::{self, Identity};
use super::session::Leftover;

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    id: u32,
    maker: u32,
    /// Processes that use it.
    attached: u32,
    /// Seconds since 1970.
    made: u64,
}

/// Reads a line: `key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime …`.
fn parse(line: &str) -> Option<Segment> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
    let made = fields.get(13)?.parse().ok()?;
    Some(Segment { id: number(1)?, maker: number(4)?, attached: number(6)?, made })
}

fn segments() -> Vec<Segment> {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    table.lines().filter_map(parse).collect()
}

/// Whether a segment was made by this very process, which is gone, and nobody uses it.
fn abandoned_by(segment: Segment, maker: Identity) -> bool {
    // the table counts whole seconds, and a pid may be somebody else's by now
    let later = process::started(maker).is_some_and(|start| Segment::seconds(start) <= segment.made);
    segment.maker == maker.pid && segment.attached == 0 && later && process::stat(maker.pid).is_none()
}

impl Segment {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time since 1970, cut to seconds")]
    fn seconds(since_1970: f64) -> u64 {
        (since_1970 - 1.0).max(0.0) as u64
    }
}

/// Removes what these processes, which are gone, left behind. Returns what was removed and what could not be, by name.
pub(super) fn remove_of(makers: &BTreeSet<Identity>) -> (Vec<String>, Vec<Leftover>) {
    let (mut removed, mut left) = (Vec::new(), Vec::new());
    for segment in segments() {
        if !makers.iter().any(|maker| abandoned_by(segment, *maker)) {
            continue;
        }
        let resource = format!("shared memory {}", segment.id);
        match remove(segment.id) {
            Ok(()) => removed.push(resource),
            Err(message) => left.push(Leftover { resource, message }),
        }
    }
    (removed, left)
}

fn remove(id: u32) -> Result<(), String> {
    let mut command = Command::new("ipcrm");
    let output = command.args(["-m", &id.to_string()]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("run `ipcrm`: {error}; it is part of util-linux"))?;
    if output.status.success() || !segments().iter().any(|segment| segment.id == id) {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Child;

    /// A process that is gone, and a segment that it made: `ipcmk` ends at once and leaves it.
    fn left_behind() -> (Identity, u32) {
        let child: Child = Command::new("ipcmk").args(["-M", "4096"]).stdout(Stdio::piped()).spawn().unwrap();
        let maker = process::stat(child.id()).unwrap().identity;
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (maker, said.trim().rsplit_once(' ').unwrap().1.parse().unwrap())
    }

    fn is_there(id: u32) -> bool {
        segments().iter().any(|segment| segment.id == id)
    }

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let line = "  0x0052e2c1  7  1600  56  4242  4243  6  65534 65534 65534 65534 1763 0 1763654400 4096 0";
        assert_eq!(parse(line), Some(Segment { id: 7, maker: 4242, attached: 6, made: 1_763_654_400 }));
        assert_eq!(parse("       key      shmid perms                  size  cpid"), None);
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_others_left_is_not() {
        let ((mine, left), (_, of_another)) = (left_behind(), left_behind());
        let earlier = Identity { start: mine.start + 6000, ..mine };
        assert_eq!(remove_of(&BTreeSet::from([earlier])), (Vec::new(), Vec::new()), "it was made before that process");
        assert!(is_there(left) && is_there(of_another));
        assert_eq!(remove_of(&BTreeSet::from([mine])), (vec![format!("shared memory {left}")], Vec::new()));
        assert!(!is_there(left) && is_there(of_another));
        remove(of_another).unwrap();
    }
}
