//! The processor, the memory and the limits that the system sets.

use super::{Finding, Level};
use host_model::{MemoryBudget, available_bytes, gives_huge_pages};
use std::thread::available_parallelism;

/// Files that the host has open beside its connections: plugins, models, logs, joined servers.
const OTHER_FILES: u64 = 256;
/// Memory below which not even a small model has room.
const MEMORY_MIN: u64 = 512 << 20;

/// Everything about the machine; the server is to hold so many connections.
pub(super) fn findings(connections_max: usize) -> Vec<Finding> {
    let mut findings = vec![processor(), memory()];
    if !gives_huge_pages() {
        findings.push(
            Finding::new(
                "memory",
                Level::Warning,
                "the system gives no huge pages, so reading weights is slower",
            )
            .advice("write `madvise` to /sys/kernel/mm/transparent_hugepage/enabled"),
        );
    }
    findings.extend(open_files(connections_max));
    findings
}

fn processor() -> Finding {
    let cores = available_parallelism().map_or(1, usize::from);
    let features = features();
    let listed = if features.is_empty() { "none of use".to_owned() } else { features.join(", ") };
    let name = processor_name().unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let found = format!("{name}, {cores} threads; extensions: {listed}");
    let has_vectors = features.iter().any(|feature| ["avx2", "neon"].contains(feature));
    match has_vectors {
        true => Finding::new("cpu", Level::Ok, found),
        false => Finding::new("cpu", Level::Warning, found).advice(
            "portable kernels are used, many times slower; in a virtual machine pass the processor \
             of the machine through",
        ),
    }
}

fn processor_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The extensions that kernels of this host look for.
#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let all = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
        ("avx512fp16", is_x86_feature_detected!("avx512fp16")),
    ];
    all.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

/// The extensions that kernels of this host look for.
#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected;
    let all = [
        ("neon", is_aarch64_feature_detected!("neon")),
        ("dotprod", is_aarch64_feature_detected!("dotprod")),
        ("i8mm", is_aarch64_feature_detected!("i8mm")),
        ("fp16", is_aarch64_feature_detected!("fp16")),
    ];
    all.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

/// The extensions that kernels of this host look for.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

fn memory() -> Finding {
    let limit = MemoryBudget::of_machine().limit();
    if limit == u64::MAX {
        return Finding::new("memory", Level::Note, "the system does not say how much there is")
            .advice("set --memory-budget, so that models make room for each other");
    }
    let mib = |bytes: u64| bytes >> 20;
    let free = available_bytes().unwrap_or(limit);
    let found = format!("models may take {} MiB, {} MiB are free now", mib(limit), mib(free));
    if limit.min(free) < MEMORY_MIN {
        return Finding::new("memory", Level::Warning, found)
            .advice("close other programs, raise the container's limit, or lower --kv-memory");
    }
    Finding::new("memory", Level::Ok, found)
}

/// Whether as many connections can be open as the server would hold.
#[cfg(unix)]
fn open_files(connections_max: usize) -> Option<Finding> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let needed = connections_max as u64 + OTHER_FILES;
    Some(match limit.current {
        Some(files) if files < needed => {
            let found =
                format!("{files} files may be open; {connections_max} connections need {needed}");
            Finding::new("limits", Level::Warning, found)
                .advice("raise it with `ulimit -n` or LimitNOFILE=, or lower --connections-max")
        }
        Some(files) => Finding::new("limits", Level::Ok, format!("{files} files may be open")),
        None => Finding::new("limits", Level::Ok, "any number of files may be open"),
    })
}

#[cfg(not(unix))]
fn open_files(_connections_max: usize) -> Option<Finding> {
    None
}
