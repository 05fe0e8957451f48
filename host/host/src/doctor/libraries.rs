//! The libraries of GPUs, looked for by name in the folders where the system's loader would look.
//!
//! None is opened: loading one runs its code, and the host itself needs none of them. Names are
//! those of NVIDIA's CUDA 11 to 13, of AMD's ROCm, and of Vulkan's loader.

use super::{Finding, Level};
use std::path::{Path, PathBuf};

/// A library by what it does, the start of its file name on Linux and on Windows.
struct Library {
    what: &'static str,
    linux: &'static str,
    windows: &'static str,
}

/// The driver first: without it the others are of no use.
const CUDA: [Library; 6] = [
    Library { what: "driver", linux: "libcuda.so", windows: "nvcuda" },
    Library { what: "run-time compiler", linux: "libnvrtc.so", windows: "nvrtc64_" },
    Library { what: "runtime", linux: "libcudart.so", windows: "cudart64_" },
    Library { what: "cuBLAS", linux: "libcublas.so", windows: "cublas64_" },
    Library { what: "cuBLASLt", linux: "libcublasLt.so", windows: "cublasLt64_" },
    Library { what: "cuDNN", linux: "libcudnn.so", windows: "cudnn64_" },
];
const OTHERS: [Library; 2] = [
    Library { what: "ROCm", linux: "libamdhip64.so", windows: "amdhip64" },
    Library { what: "Vulkan loader", linux: "libvulkan.so", windows: "vulkan-1" },
];

/// What there is, in a line for CUDA's libraries that are there, one for those that are not, and one
/// for each of the others that is there.
pub(super) fn findings() -> Vec<Finding> {
    let folders = folders();
    let files = file_names(&folders);
    let (there, missing): (Vec<_>, Vec<_>) =
        CUDA.iter().partition(|library| is_there(library, &files));
    let mut findings = Vec::new();
    if is_there(&CUDA[0], &files) {
        findings.push(Finding::new("gpu", Level::Ok, format!("CUDA: {} found", names(&there))));
        if !missing.is_empty() {
            findings.push(
                Finding::new("gpu", Level::Note, format!("CUDA: {} missing", names(&missing)))
                    .advice("a CUDA plugin may want the toolkit's libraries on the loader's path"),
            );
        }
    } else {
        let found = format!("CUDA: {} missing", names(&missing));
        findings.push(Finding::new("gpu", Level::Note, found).advice(
            "the host computes on the processor; a GPU plugin needs the driver of its vendor",
        ));
    }
    for library in OTHERS.iter().filter(|library| is_there(library, &files)) {
        let found = format!("{} ({}) found", library.what, name(library));
        findings.push(Finding::new("gpu", Level::Ok, found));
    }
    findings.extend(compiler(&folders));
    findings
}

fn names(libraries: &[&Library]) -> String {
    let each = libraries.iter().map(|library| format!("{} ({})", name(library), library.what));
    each.collect::<Vec<_>>().join(", ")
}

fn name(library: &Library) -> &'static str {
    if cfg!(windows) { library.windows } else { library.linux }
}

fn is_there(library: &Library, files: &[String]) -> bool {
    files.iter().any(|file| file.starts_with(name(library)))
}

/// CUDA's compiler needs a C++ compiler beside it, which on Windows is found through a variable.
fn compiler(folders: &[PathBuf]) -> Option<Finding> {
    if !cfg!(windows) || std::env::var_os("NVCC_CCBIN").is_some() {
        return None;
    }
    let has = |program: &str| folders.iter().any(|folder| folder.join(program).exists());
    (has("nvcc.exe") && !has("cl.exe")).then(|| {
        Finding::new("gpu", Level::Warning, "nvcc.exe is on the path, cl.exe is not").advice(
            "to build CUDA plugins, start from a Developer Command Prompt, or set NVCC_CCBIN to the \
             folder of cl.exe",
        )
    })
}

/// Where libraries are looked for.
fn folders() -> Vec<PathBuf> {
    let path = if cfg!(windows) { "PATH" } else { "LD_LIBRARY_PATH" };
    let mut folders: Vec<PathBuf> = std::env::var_os(path)
        .map(|paths| std::env::split_paths(&paths).collect())
        .unwrap_or_default();
    for variable in ["CUDA_HOME", "CUDA_PATH"] {
        if let Some(root) = std::env::var_os(variable).filter(|root| !root.is_empty()) {
            let below = if cfg!(windows) { ["bin", "bin/x64"] } else { ["lib64", "lib"] };
            folders.extend(below.map(|name| Path::new(&root).join(name)));
        }
    }
    if !cfg!(windows) {
        let system = [
            "/usr/local/cuda/lib64",
            "/opt/cuda/lib64",
            "/opt/rocm/lib",
            "/usr/lib/wsl/lib",
            "/usr/local/lib",
            "/usr/lib64",
            "/usr/lib",
            "/lib64",
        ];
        folders.extend(system.map(PathBuf::from));
        folders.push(format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH).into());
    }
    folders
}

fn file_names(folders: &[PathBuf]) -> Vec<String> {
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_whatever_its_version() {
        let files = [format!("{}12.dll", CUDA[2].windows), format!("{}.12", CUDA[2].linux)];
        assert!(is_there(&CUDA[2], &files));
        assert!(!is_there(&CUDA[0], &files));
    }

    #[test]
    fn every_name_of_cuda_is_told_found_or_missing() {
        let told: String = findings().into_iter().map(|finding| finding.found + "\n").collect();
        for library in &CUDA {
            assert!(told.contains(name(library)), "{} in\n{told}", name(library));
        }
    }
}
