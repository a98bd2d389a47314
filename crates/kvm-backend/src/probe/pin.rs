//! On which CPUs this process may run, and moving the present thread to one of them.

/// The CPUs that this thread may use, in order; none if the kernel does not say.
#[cfg(target_os = "linux")]
pub(super) fn allowed() -> Vec<u32> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).filter_map(|cpu| u32::try_from(cpu).ok()).collect()
}

/// Moves the present thread to a CPU of [`allowed`]; whether it worked.
#[cfg(target_os = "linux")]
pub(super) fn to(cpu: u32) -> bool {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    let Ok(cpu) = usize::try_from(cpu) else { return false };
    if cpu >= CpuSet::MAX_CPU {
        return false;
    }
    set.set(cpu);
    sched_setaffinity(None, &set).is_ok()
}

/// Nobody can be asked here.
#[cfg(not(target_os = "linux"))]
pub(super) fn allowed() -> Vec<u32> {
    Vec::new()
}

/// Threads cannot be pinned here.
#[cfg(not(target_os = "linux"))]
pub(super) fn to(_cpu: u32) -> bool {
    false
}
