//! A plugin in C, and the header it is written with.

use crate::fixture::{Folder, check_row};
use crate::kit::{compiler, skipped};
use host_loader::PluginState;
use plugin_abi::{
    ABI_MAJOR, ABI_MINOR, ArchitectureV1, Bytes, ComputeV1, DtypeLookupV1, DtypeV1, Facet,
    FacetHeader, FormatV1, MAGIC, MatmulTileV1, PluginRoot, ProfileV1, ProgressV1, QuantizationV1,
    QuantizerV1, RowSourceV1, SessionOptionsV1, Sink, Span32, Status, StepBatchV1, Text,
    ToolCallerV1, ToolV1, WeightV1, WriterV1,
};
use plugin_api::{CheckpointInfo, Scheme};
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

fn compile(source: &Path, arguments: &[&str]) {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugin-api/plugin-abi/include");
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I"]).arg(include);
    let done = command.args(arguments).arg(source).output().expect("cc runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[cfg(unix)]
#[test]
fn a_plugin_in_c_is_loaded_and_answers() {
    if !compiler() {
        return skipped("the plugin in C", "cc is not there");
    }
    let folder = Folder::new();
    let file = folder.file("tiny_c");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/loader/c/tiny.c");
    let output = file.to_str().expect("a path of our own");
    compile(&source, &["-shared", "-fPIC", "-fvisibility=hidden", "-o", output]);
    let registry = folder.loader().scan();
    check_row(&registry, &file, PluginState::Loaded, &[]);
    let provider = registry.architecture("TinyCForCausalLM").expect("it is loaded");
    assert_eq!(provider.plugin(), "tiny-c");
    let empty = serde_json::Map::new();
    let info = CheckpointInfo::new(Scheme::Hf, "TinyCForCausalLM".to_owned(), empty, vec![], 0);
    let graph = provider.build(&info).expect("it builds");
    assert_eq!((graph.architecture.as_str(), graph.nodes.len()), ("tiny-c", 3));
}

/// Assertions in C, one for each fact of the wire.
struct Facts(String);

impl Facts {
    fn number(&mut self, what: &str, value: u64) {
        self.0 += &format!("_Static_assert({what} == UINT64_C({value}), \"{value} expected\");\n");
    }

    fn facet<F: Facet>(&mut self, name: &str) {
        self.number(&format!("{name}_FINGERPRINT"), F::FINGERPRINT);
        check_text(name, F::NAME);
    }
}

/// A text of the header, which is no constant to a C compiler.
fn check_text(what: &str, value: &str) {
    const HEADER: &str = include_str!("../../../../plugin-api/plugin-abi/include/host_plugin.h");
    let line = format!("#define {what} \"{value}\"");
    assert!(HEADER.lines().any(|found| found == line), "{line}");
}

/// Size of a struct and place of each of its fields.
macro_rules! layout {
    ($facts:expr, $c:literal: $rust:ty { $($field:ident),+ }) => {
        $facts.number(concat!("sizeof(", $c, ")"), size_of::<$rust>() as u64);
        $($facts.number(
            concat!("offsetof(", $c, ", ", stringify!($field), ")"),
            offset_of!($rust, $field) as u64,
        );)+
    };
}

/// The compiler compares, so that nothing has to be run and no field can be forgotten here that
/// moves another one.
#[test]
fn the_header_says_the_same_as_the_crate() {
    if !compiler() {
        return skipped("the facts of the header", "cc is not there");
    }
    let folder = Folder::new();
    let source = folder.path().join("facts.c");
    let facts = Facts("#include \"host_plugin.h\"\n".to_owned());
    std::fs::write(&source, facets(values(facts)).0).expect("the folder is ours");
    compile(&source, &["-fsyntax-only"]);
}

fn values(mut facts: Facts) -> Facts {
    facts.number("HOST_PLUGIN_ABI_MAJOR", ABI_MAJOR.into());
    facts.number("HOST_PLUGIN_ABI_MINOR", ABI_MINOR.into());
    check_text("HOST_PLUGIN_MAGIC", std::str::from_utf8(&MAGIC).expect("text"));
    let statuses = [
        ("HOST_OK", Status::OK),
        ("HOST_INVALID", Status::INVALID),
        ("HOST_UNSUPPORTED", Status::UNSUPPORTED),
        ("HOST_NOT_FOUND", Status::NOT_FOUND),
        ("HOST_FAILED", Status::FAILED),
        ("HOST_PANIC", Status::PANIC),
    ];
    for (name, Status(code)) in statuses {
        facts.number(name, u64::try_from(code).expect("no status is negative"));
    }
    facts.number("sizeof(host_status)", size_of::<Status>() as u64);
    layout!(facts, "host_text": Text { ptr, len });
    layout!(facts, "host_bytes": Bytes { ptr, len });
    layout!(facts, "host_span32": Span32 { ptr, len });
    layout!(facts, "host_sink": Sink { context, write });
    layout!(facts, "host_row_source_v1": RowSourceV1 { context, read });
    layout!(facts, "host_facet_header": FacetHeader { size, fingerprint });
    layout!(facts, "host_plugin_root": PluginRoot {
        magic, abi_major, abi_minor, root_size, manifest, layout_header, layout, facet
    });
    facts
}

fn facets(mut facts: Facts) -> Facts {
    facts.facet::<ArchitectureV1>("HOST_ARCHITECTURE_V1");
    facts.facet::<FormatV1>("HOST_FORMAT_V1");
    facts.facet::<QuantizationV1>("HOST_QUANTIZATION_V1");
    facts.facet::<ComputeV1>("HOST_COMPUTE_V1");
    facts.facet::<ProfileV1>("HOST_PROFILE_V1");
    facts.facet::<QuantizerV1>("HOST_QUANTIZER_V1");
    facts.facet::<WriterV1>("HOST_WRITER_V1");
    facts.facet::<ToolV1>("HOST_TOOL_V1");
    layout!(facts, "host_quantizer_v1": QuantizerV1 { header, plan });
    layout!(facts, "host_writer_v1": WriterV1 { header, write });
    layout!(facts, "host_tool_v1": ToolV1 { header, version, list, call });
    layout!(facts, "host_tool_caller_v1": ToolCallerV1 {
        context, progress, log, cancelled, ask
    });
    layout!(facts, "host_architecture_v1": ArchitectureV1 { header, build });
    layout!(facts, "host_format_v1": FormatV1 {
        header, probe, open, describe, tensor, read_rows, asset, release_pages, close
    });
    layout!(facts, "host_quantization_v1": QuantizationV1 { header, dtype_count, dtype });
    layout!(facts, "host_dtype_v1": DtypeV1 {
        name, input_format, block_len, block_bytes, row_group, flags, dequantize, quantize,
        input_bytes, prepare_input, packed_bytes, pack, matmul
    });
    layout!(facts, "host_matmul_tile_v1": MatmulTileV1 {
        weights, k, row_begin, row_end, inputs, input_stride, token_count, output, output_stride
    });
    layout!(facts, "host_compute_v1": ComputeV1 {
        header, estimate, create, step, copy_blocks, destroy
    });
    layout!(facts, "host_profile_v1": ProfileV1 { header, start, stop, limits });
    layout!(facts, "host_weight_v1": WeightV1 { data, dtype });
    layout!(facts, "host_dtype_lookup_v1": DtypeLookupV1 { context, find });
    layout!(facts, "host_progress_v1": ProgressV1 { context, report });
    layout!(facts, "host_session_options_v1": SessionOptionsV1 {
        graph, weights, weight_count, rows, dtypes, progress, block_size, block_count,
        batch_tokens_max, sequences_max, kv_dtype, threads, reserved
    });
    layout!(facts, "host_step_batch_v1": StepBatchV1 {
        token_ids, positions, slots, sequence_starts, sequence_lengths, context_lengths,
        block_table_starts, block_tables, logit_rows
    });
    facts
}
