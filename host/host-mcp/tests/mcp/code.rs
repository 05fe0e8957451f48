//! The tools that work on code, on a model of the host: their JSON cannot be wrong.

use serde_json::{Value, json};

use crate::fake::FakeModel;
use crate::test_server::TestServer;

const PROMPT_TOKENS: &str = r#"host_prompt_tokens_total{model="fake"}"#;

/// Tokens of the prompt of a tool, learned by asking a model that has nothing to say.
async fn prompt_tokens(tool: &str, arguments: &Value) -> usize {
    let server = TestServer::new(Some(FakeModel::saying("")), Default::default());
    let (result, _) = server.call(tool, arguments.clone()).await;
    // It finds no end within the schema.
    assert_eq!(result["isError"], true, "{result}");
    let blocks = result["content"].as_array().expect("a list");
    assert!(blocks[0]["text"].as_str().expect("a text").contains("cut off"), "{result}");
    assert!(blocks[1]["text"].as_str().expect("a text").starts_with('{'), "{result}");
    assert!(result["structuredContent"].is_null(), "never a result that breaks the schema");
    server.metric(PROMPT_TOKENS) as usize
}

async fn check(tool: &str, arguments: Value, said: &str, expected: Value) {
    let before = prompt_tokens(tool, &arguments).await;
    let model = FakeModel::saying(&format!("{}{said}", ".".repeat(before)));
    let server = TestServer::new(Some(model), Default::default());
    let (result, told) = server.call(tool, arguments).await;
    assert_eq!(result["structuredContent"], expected, "{result}");
    let values: Vec<f64> =
        told.iter().filter_map(|message| message["params"]["progress"].as_f64()).collect();
    assert!(values.len() >= 2 && values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
}

#[tokio::test]
async fn a_task_is_formalized() {
    let answer = json!({
        "formalized_description": "d", "requirements": ["r"], "steps": [],
        "estimated_complexity": "low",
    });
    check("formalize_task", json!({"informal_request": "x"}), &answer.to_string(), answer).await;
}

#[tokio::test]
async fn code_is_generated() {
    let answer =
        json!({"code": "x = 1\n", "language": "python", "explanation": "e", "dependencies": []});
    check("generate_code", json!({"description": "x"}), &answer.to_string(), answer).await;
}

#[tokio::test]
async fn code_is_reviewed_whatever_the_model_wants_to_say() {
    let said = r#"{"overall_score":101,"issues":[],"suggestions":[],"compliments":[],"refactored_code":"y"}"#;
    // 101 is no score: the last digit is not let through.
    let arguments = json!({"code": "x"});
    let before = prompt_tokens("review_code", &arguments).await;
    let model = FakeModel::saying(&format!("{}{said}", ".".repeat(before)));
    let server = TestServer::new(Some(model), Default::default());
    let (result, _) = server.call("review_code", arguments.clone()).await;
    let score = result["structuredContent"]["overall_score"].as_u64();
    assert!(result["isError"] == true || score.is_some_and(|score| score <= 100), "{result}");
    let answer = json!({
        "overall_score": 80,
        "issues": [{"severity": "low", "line": 1, "message": "m", "suggestion": "s"}],
        "suggestions": [], "compliments": ["c"], "refactored_code": "y",
    });
    check("review_code", arguments, &answer.to_string(), answer).await;
}
