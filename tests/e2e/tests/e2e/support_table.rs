//! The page that says what is supported, made from the list below and held to what is there.
//!
//! A row names the test that proves it. The page is written again with `UPDATE_EXPECT=1`; a test
//! that is gone, a claim of a plugin without a row, or a dtype without one fails here.

use crate::text;
use expect_test::expect_file;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use support::{PluginFolder, SHIPPED, root, run_host};

/// An architecture in one format.
struct Row {
    model: &'static str,
    claims: &'static [&'static str],
    format: &'static str,
    dtypes: &'static str,
    /// Test file and test that prove it on `cpu`.
    cpu: Proof,
    /// The same on `candle`; none where a graph is compared, which runs nowhere.
    candle: Option<Proof>,
}

/// Where a test is, below the root, and its name.
type Proof = (&'static str, &'static str);

const E2E: &str = "tests/e2e/tests/e2e/reference_models.rs";
const EMBED: &str = "tests/e2e/tests/e2e/embeddings.rs";
const RUNTIMES: &str = "tests/compute-suite/tests/runtimes/main.rs";

const GOLDEN: Proof = (E2E, "the_golden_set_answers_as_stored");
const REFERENCE: Proof = (E2E, "the_reference_set_answers_as_stored");
const MOE: Proof = (E2E, "shared_experts_answer_as_stored");
const FOUR_BIT: Proof = (E2E, "four_bit_checkpoints_answer_as_their_dequantized_weights");
const FP8: Proof = (E2E, "fp8_checkpoints_answer_as_their_dequantized_weights");
const STARCODER: Proof = (E2E, "layer_norm_and_a_plain_mlp_answer_as_stored");
const GOLDEN_RUNTIMES: Option<Proof> = Some((RUNTIMES, "runtimes_agree_on_the_golden_set"));
const REFERENCE_RUNTIMES: Option<Proof> = Some((RUNTIMES, "runtimes_agree_on_the_reference_set"));

const fn row(
    model: &'static str,
    claims: &'static [&'static str],
    (format, dtypes): (&'static str, &'static str),
    cpu: Proof,
    candle: Option<Proof>,
) -> Row {
    Row { model, claims, format, dtypes, cpu, candle }
}

const ROWS: &[Row] = &[
    row(
        "Qwen 2, 2.5",
        &["Qwen2ForCausalLM"],
        ("safetensors", "bf16"),
        REFERENCE,
        REFERENCE_RUNTIMES,
    ),
    row(
        "Qwen 2, 2.5",
        &["qwen2"],
        ("gguf", "f32, q8_0, q6_k, q5_k, q4_k, q3_k, q2_k, q4_0, iq4_xs, q5_0"),
        REFERENCE,
        REFERENCE_RUNTIMES,
    ),
    row(
        "Qwen 2 in GPTQ, AWQ",
        &["Qwen2ForCausalLM"],
        ("safetensors", "int4, f16"),
        FOUR_BIT,
        GOLDEN_RUNTIMES,
    ),
    row("Qwen 3", &["Qwen3ForCausalLM"], ("safetensors", "bf16"), REFERENCE, REFERENCE_RUNTIMES),
    row("Qwen 3", &["qwen3"], ("gguf", "q8_0, q6_k, q4_k"), REFERENCE, REFERENCE_RUNTIMES),
    row(
        "Qwen 3 in 8-bit floats",
        &["Qwen3ForCausalLM"],
        ("safetensors", "f8_e4m3"),
        FP8,
        GOLDEN_RUNTIMES,
    ),
    row(
        "Qwen 3 embedding",
        &["Qwen3ForCausalLM", "Qwen3Model"],
        ("safetensors", "bf16"),
        (EMBED, "a_decoder_embeds_by_its_last_token"),
        GOLDEN_RUNTIMES,
    ),
    row("Qwen 2 MoE", &["Qwen2MoeForCausalLM"], ("safetensors", "bf16"), MOE, GOLDEN_RUNTIMES),
    row("Qwen 2 MoE", &["qwen2moe"], ("gguf", "q8_0"), MOE, GOLDEN_RUNTIMES),
    row(
        "Qwen 3 MoE",
        &["Qwen3MoeForCausalLM"],
        ("safetensors", "bf16"),
        REFERENCE,
        REFERENCE_RUNTIMES,
    ),
    row("Qwen 3 MoE", &["qwen3moe"], ("gguf", "q6_k, q4_k"), REFERENCE, REFERENCE_RUNTIMES),
    row("Gemma 2", &["Gemma2ForCausalLM"], ("safetensors", "bf16"), REFERENCE, REFERENCE_RUNTIMES),
    row("Gemma 2", &["gemma2"], ("gguf", "q6_k, q4_k"), REFERENCE, REFERENCE_RUNTIMES),
    row(
        "Gemma 3, text",
        &["Gemma3ForCausalLM"],
        ("safetensors", "bf16"),
        REFERENCE,
        REFERENCE_RUNTIMES,
    ),
    row("Gemma 3, text", &["gemma3"], ("gguf", "q8_0, q4_0"), REFERENCE, REFERENCE_RUNTIMES),
    row(
        "Gemma 3, text part",
        &["Gemma3ForConditionalGeneration"],
        ("safetensors", "bf16"),
        REFERENCE,
        REFERENCE_RUNTIMES,
    ),
    row(
        "EmbeddingGemma",
        &["Gemma3TextModel"],
        ("safetensors", "bf16"),
        (EMBED, "an_encoder_of_gemma_embeds_by_mean_and_dense_modules"),
        GOLDEN_RUNTIMES,
    ),
    row(
        "EmbeddingGemma",
        &["gemma-embedding"],
        ("gguf", "graph equal to that of safetensors"),
        (
            "plugins/gemma/tests/conformance.rs",
            "embedding_gemma_sees_both_sides_and_ends_with_its_dense_layers",
        ),
        None,
    ),
    row(
        "Llama 2, 3",
        &["LlamaForCausalLM"],
        ("safetensors", "f32, bf16"),
        REFERENCE,
        REFERENCE_RUNTIMES,
    ),
    row(
        "Llama 2, 3",
        &["llama"],
        ("gguf", "f32, bf16, q8_0, q5_0, q5_1, q4_1, iq4_nl"),
        GOLDEN,
        GOLDEN_RUNTIMES,
    ),
    row(
        "Mistral",
        &["MistralForCausalLM", "MistralModel", "mistral"],
        ("safetensors", "bf16"),
        GOLDEN,
        GOLDEN_RUNTIMES,
    ),
    row(
        "Phi-3, longrope",
        &["Phi3ForCausalLM"],
        ("safetensors", "bf16"),
        REFERENCE,
        REFERENCE_RUNTIMES,
    ),
    row(
        "Phi-3, longrope",
        &["phi3"],
        ("gguf", "q5_0, q8_0"),
        ("tests/quantization/tests/quantization/files.rs", "every_family_can_be_written"),
        None,
    ),
    row(
        "StarCoder 2",
        &["Starcoder2ForCausalLM"],
        ("safetensors", "f16"),
        STARCODER,
        GOLDEN_RUNTIMES,
    ),
    row("StarCoder 2", &["starcoder2"], ("gguf", "f16, q4_0"), STARCODER, GOLDEN_RUNTIMES),
    row(
        "BERT",
        &["BertModel", "BertForMaskedLM"],
        ("safetensors", "f32, f16"),
        (EMBED, "bert_embeds_by_its_first_token"),
        GOLDEN_RUNTIMES,
    ),
    row("BERT", &["bert"], ("gguf", "f16"), (EMBED, "bert_embeds_by_mean"), REFERENCE_RUNTIMES),
    row(
        "RoBERTa",
        &["RobertaModel", "RobertaForMaskedLM", "XLMRobertaModel", "XLMRobertaForMaskedLM"],
        ("safetensors", "graph"),
        ("plugins/bert/tests/conformance.rs", "roberta_counts_positions_after_its_padding"),
        None,
    ),
];

/// Dtypes of one origin: reading, products, writing.
struct Dtypes {
    names: &'static [&'static str],
    read: Proof,
    multiplied: Proof,
    written: Option<Proof>,
}

const MULTIPLIED: Proof = ("kernels/kernels/tests/table/matmul.rs", "products_agree_with_float64");
const GGML_READ: Proof =
    ("kernels/kernels/tests/table/golden.rs", "blocks_are_read_as_the_gguf_package_reads_them");
const OWN_READ: Proof =
    ("kernels/kernels/tests/table/own.rs", "blocks_are_read_by_their_definition");

const DTYPES: &[Dtypes] = &[
    Dtypes {
        names: &["f32", "f16", "bf16"],
        read: GGML_READ,
        multiplied: MULTIPLIED,
        written: Some((
            "kernels/kernels/tests/table/golden.rs",
            "plain_values_are_rounded_as_the_gguf_package_rounds_them",
        )),
    },
    Dtypes {
        names: &[
            "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k",
            "iq4_nl", "iq4_xs", "mxfp4", "tq1_0", "tq2_0",
        ],
        read: GGML_READ,
        multiplied: MULTIPLIED,
        written: Some((
            "kernels/kernels/tests/table/quantize.rs",
            "errors_are_at_most_those_of_llama_cpp",
        )),
    },
    Dtypes {
        names: &["iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq1_s", "iq1_m"],
        read: GGML_READ,
        multiplied: MULTIPLIED,
        written: None,
    },
    Dtypes {
        names: &["hqq4", "hqq8", "afq4", "afq8", "f8_e4m3", "int4"],
        read: OWN_READ,
        multiplied: MULTIPLIED,
        written: Some(("kernels/kernels/tests/table/own.rs", "gaussian_rows_are_rounded_closely")),
    },
];

/// The page.
fn page() -> String {
    let mut page = String::from(
        "# What is supported, and which test proves it\n\n\
         Made by `UPDATE_EXPECT=1 cargo test -p e2e support_table`; do not edit.\n\
         A test of `tests/compute-suite` runs the same graphs on both devices and compares them.\n\
         Some tests use a larger set of checkpoints in `../shared` and say so where it is absent.\n\n\
         ## Architectures\n\n\
         | model | architecture | format | dtypes of the checkpoints | on `cpu` | on `candle` |\n\
         |---|---|---|---|---|---|\n",
    );
    for Row { model, claims, format, dtypes, cpu, candle } in ROWS {
        let claims: Vec<_> = claims.iter().map(|claim| format!("`{claim}`")).collect();
        let candle = candle.map_or("", |(_, test)| test);
        let _infallible = writeln!(
            page,
            "| {model} | {} | {format} | {dtypes} | {} | {candle} |",
            claims.join(", "),
            cpu.1
        );
    }
    page.push_str(
        "\n## Dtypes\n\n\
         Every dtype runs on `cpu`, and on `candle` as the floats it stands for; every architecture runs in every dtype, since neither knows of the other.\n\n\
         | dtype | read | multiplied | written |\n|---|---|---|---|\n",
    );
    for Dtypes { names, read, multiplied, written } in DTYPES {
        let written = written.map_or("", |(_, test)| test);
        let names = names.join(", ");
        let _infallible = writeln!(page, "| {names} | {} | {} | {written} |", read.1, multiplied.1);
    }
    page
}

#[test]
fn the_page_of_what_is_supported_is_up_to_date() {
    expect_file!["../../../../docs/support.md"].assert_eq(&page());
}

#[test]
fn every_test_that_the_page_names_exists() {
    let proofs = ROWS.iter().flat_map(|row| std::iter::once(row.cpu).chain(row.candle));
    let of_dtypes = DTYPES
        .iter()
        .flat_map(|dtypes| [dtypes.read, dtypes.multiplied].into_iter().chain(dtypes.written));
    for (file, test) in proofs.chain(of_dtypes) {
        let source = fs::read_to_string(root().join(file)).expect("a file of the repository");
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
}

/// The claims of every shipped plugin of one kind.
fn claims(kind: &str) -> BTreeSet<String> {
    let plugins = PluginFolder::with(SHIPPED);
    let done = run_host(["plugins", "list", "--json", "--plugins", text(plugins.path())]);
    let list: Value = serde_json::from_str(&done.stdout).expect("JSON");
    let plugins = list.as_array().or(list["plugins"].as_array()).expect("a list of plugins");
    let providers = plugins.iter().flat_map(|plugin| {
        plugin["providers"].as_array().expect("providers").iter().filter(|p| p["kind"] == kind)
    });
    let claims = providers.flat_map(|provider| provider["claims"].as_array().expect("claims"));
    claims.map(|claim| claim.as_str().expect("a name").to_owned()).collect()
}

#[test]
fn every_architecture_and_dtype_of_the_plugins_is_on_the_page() {
    let listed = |names: &mut dyn Iterator<Item = &&'static str>| -> BTreeSet<String> {
        names.map(|name| (*name).to_owned()).collect()
    };
    let architectures = listed(&mut ROWS.iter().flat_map(|row| row.claims));
    assert_eq!(claims("architecture"), architectures);
    let dtypes = listed(&mut DTYPES.iter().flat_map(|dtypes| dtypes.names));
    assert_eq!(claims("quantization"), dtypes);
}
