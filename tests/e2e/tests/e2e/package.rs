//! The archive of `make dist` runs wherever it is unpacked.

use crate::text;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use support::{SHIPPED, Scratch, host_program, plugin_file, root, run, run_reading};

/// The folder that `make build` fills, with the programs of this build.
fn built(folder: &Path) {
    let programs = host_program();
    let programs = programs.parent().expect("programs lie in a folder");
    fs::create_dir_all(folder.join("plugins")).expect("a folder");
    for name in ["host", "host-join", "host-pull"] {
        let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        fs::copy(programs.join(&name), folder.join(&name)).expect("a program");
    }
    for name in SHIPPED {
        let file = plugin_file(&format!("plugin-{name}"));
        let to = folder.join("plugins").join(file.file_name().expect("a name"));
        fs::copy(&file, to).expect("a plugin");
    }
}

#[test]
fn an_unpacked_archive_runs_from_any_folder() {
    let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
    let (dist, unpacked) = (scratch.join("dist"), scratch.join("unpacked"));
    built(&dist);
    let packer = host_program().with_file_name(format!("package{}", std::env::consts::EXE_SUFFIX));
    let packed = run(Command::new(packer).arg(&dist).arg("--checkout").arg(root()));
    assert!(packed.status.success(), "{}", packed.stderr);
    fs::create_dir(&unpacked).expect("a folder");
    let archive = packed.stdout.trim();
    let tar = run(Command::new("tar").args(["-xzf", archive, "-C", text(&unpacked)]));
    assert!(tar.status.success(), "{}", tar.stderr);
    let sum = fs::read_to_string(format!("{archive}.sha256")).expect("a checksum");
    assert_eq!(sum.split_whitespace().next().map(str::len), Some(64));

    let folders: Vec<_> = fs::read_dir(&unpacked).expect("a folder").flatten().collect();
    assert_eq!(folders.len(), 1, "everything lies in one folder");
    let folder = folders[0].path();
    for file in ["LICENSE", "THIRD-PARTY-LICENCES.txt", "SHA256SUMS", "models/starter/README.md"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).expect("checksums");
    assert!(sums.lines().any(|line| line.ends_with("  host")), "{sums}");
    assert!(sums.contains("share/man/man1/host-serve.1") && sums.contains("completions/_host"));

    let host = |words: &[&str]| {
        let mut command = Command::new(folder.join("host"));
        command.args(words).current_dir(elsewhere.path()).env_clear().env("HOME", elsewhere.path());
        command
    };
    let question = elsewhere.join("question");
    fs::write(&question, "How do I choose another port?").expect("a file");
    let stdin = File::open(&question).expect("a file");
    let done = run_reading(&mut host(&["run", "--temperature", "0"]), stdin);
    assert!(done.status.success(), "{}", done.stderr);
    assert!(done.stdout.contains("--port"), "{}", done.stdout);
    let doctor = run(&mut host(&["doctor", "--port", "0"]));
    assert!(doctor.status.success(), "{}{}", doctor.stdout, doctor.stderr);
    assert!(doctor.stdout.contains("starter-q8_0.gguf"), "{}", doctor.stdout);
}
