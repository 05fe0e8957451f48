//! The list of models: found, wanted, loaded once, unloaded.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use host_generation::{
    GenerationRequest, Kept, LoadFailure, LoadJob, LoadProgress, LoadStage, Loading, ModelState,
    ModelStatus, Models, Prompt, Wanted,
};
use host_metrics::Metrics;
use host_model::{CatalogEntry, LoadErrorKind};

use crate::fake::{self, FakeModel};

fn checkpoint(id: &str) -> CatalogEntry {
    CatalogEntry::at(&PathBuf::from(format!("/models/{id}.gguf")), Some(id))
}

fn failure(kind: LoadErrorKind) -> LoadFailure {
    LoadFailure { kind, message: "no plugin for it".to_owned() }
}

/// The load that is wanted, with the duty to do it if it is new.
#[track_caller]
fn load(wanted: Wanted) -> (Loading, Option<LoadJob>) {
    match wanted {
        Wanted::Load(loading, job) => (loading, job),
        other => panic!("a load expected, found {other:?}"),
    }
}

fn finish(job: LoadJob) {
    let model = fake::generator(&job.entry().id, FakeModel::saying("x"), &Metrics::new());
    job.finish(Ok(model.into()));
}

fn loaded(models: &Models, id: &str) {
    finish(load(models.want(id, false)).1.expect("nobody loads it yet"));
}

fn status(models: &Models, id: &str) -> String {
    match models.entry(id).map(|entry| entry.status) {
        None => "unknown".to_owned(),
        Some(ModelStatus::Available) => "available".to_owned(),
        Some(ModelStatus::Loading(progress)) => progress.stage.name().to_owned(),
        Some(ModelStatus::Loaded(_)) => "loaded".to_owned(),
        Some(ModelStatus::Failed(failure)) => failure.message,
    }
}

fn ids(models: &Models) -> Vec<String> {
    models.list().into_iter().map(|entry| entry.checkpoint.id).collect()
}

#[test]
fn models_are_found_by_id_and_by_default() {
    let models = Models::default();
    assert!(models.get("default").is_none() && !models.is_ready());
    let metrics = Metrics::new();
    for id in ["a", "b", "c"] {
        models.insert(fake::generator(id, FakeModel::saying("..x"), &metrics));
    }
    assert_eq!(ids(&models), ["a", "b", "c"]);
    let default = |models: &Models| models.get("default").map(|it| it.summary().id.clone());
    assert_eq!(default(&models).as_deref(), Some("a"));
    let removed = models.get("a").unwrap();
    assert_eq!((models.remove("a"), models.remove("a")), (Ok(true), Err(Kept::Unknown)));
    assert_eq!(removed.state(), ModelState::Draining);
    assert_eq!(default(&models).as_deref(), Some("b"));
    models.add_alias("mine", "c");
    models.add_alias("b", "c");
    assert_eq!(models.get("mine").unwrap().summary().id, "c");
    assert_eq!(models.get("b").unwrap().summary().id, "b", "ids go before aliases");
    assert_eq!(models.entry("c").unwrap().aliases, ["b", "mine"]);
    models.add_alias("default", "c");
    assert_eq!(default(&models).as_deref(), Some("c"));
    models.shutdown();
    assert!(!models.is_ready() && models.get("b").is_some());
}

#[tokio::test]
async fn a_model_is_loaded_once_for_all_who_want_it() {
    let models = Models::default();
    models.offer(checkpoint("a"));
    assert!(models.get("a").is_none() && models.is_ready());
    let (mut first, job) = load(models.want("a", false));
    let job = job.expect("the first has to load it");
    let (mut second, none) = load(models.want("default", false));
    assert!(none.is_none(), "it is loaded already");
    assert_eq!((status(&models, "a").as_str(), models.remove("a")), ("queued", Err(Kept::Loading)));
    drop(load(models.want("a", false)));
    let weights = LoadProgress { stage: LoadStage::Weights, done_bytes: 3, total_bytes: 9 };
    job.report(weights);
    assert_eq!((first.next().await, second.progress()), (Some(weights), Some(weights)));
    finish(job);
    let (first_model, second_model) = (first.wait().await.unwrap(), second.wait().await.unwrap());
    assert_eq!((first_model.summary().id.as_str(), first.next().await), ("a", None));
    assert_eq!(models.get("a").unwrap().summary().id, second_model.summary().id);
    let (mut late, none) = load(models.want("a", false));
    assert!(none.is_none() && late.wait().await.is_ok(), "who comes late finds it loaded");
}

#[tokio::test]
async fn a_failure_reaches_everybody_and_is_remembered() {
    let models = Models::default();
    models.offer(checkpoint("a"));
    let (mut first, job) = load(models.want("a", false));
    let (mut second, _) = load(models.want("a", false));
    let expected = failure(LoadErrorKind::Unsupported);
    job.unwrap().finish(Err(expected.clone()));
    for loading in [&mut first, &mut second] {
        assert_eq!(loading.wait().await.unwrap_err(), expected);
    }
    assert_eq!((status(&models, "a").as_str(), models.is_ready()), ("no plugin for it", false));
    assert!(matches!(models.want("a", false), Wanted::Failed(failure) if failure == expected));
    let (_, job) = load(models.want("a", true));
    job.expect("asked for, it is tried again").finish(Err(failure(LoadErrorKind::Memory)));
    assert_eq!(status(&models, "a"), expected.message, "short memory changes nothing about it");
    models.offer_catalog(Vec::new());
    assert_eq!(status(&models, "a"), "available", "what was missing may be there now");
    let (mut waiting, job) = load(models.want("a", false));
    drop(job);
    assert!(waiting.wait().await.unwrap_err().message.contains("without an outcome"));
}

#[test]
fn short_memory_is_not_remembered() {
    let models = Models::default();
    models.offer(checkpoint("a"));
    load(models.want("a", false)).1.unwrap().finish(Err(failure(LoadErrorKind::Memory)));
    assert_eq!(status(&models, "a"), "available");
}

#[test]
fn a_catalog_comes_and_goes_without_disturbing_what_is_in_use() {
    let models = Models::default();
    models.offer(checkpoint("own"));
    models.offer_catalog(["a", "b", "own"].map(checkpoint).to_vec());
    assert_eq!(ids(&models), ["own", "a", "b"]);
    loaded(&models, "a");
    models.offer_catalog(vec![checkpoint("c")]);
    assert_eq!(ids(&models), ["own", "a", "c"]);
    assert_eq!((models.remove("a"), models.remove("c")), (Ok(true), Ok(false)));
    assert_eq!((status(&models, "a").as_str(), models.remove("a")), ("available", Ok(false)));
}

#[test]
fn a_checkpoint_loaded_by_a_request_leaves_with_it() {
    let models = Models::default();
    let (_, job) = load(models.want_checkpoint(checkpoint("a")));
    let other = CatalogEntry { path: "/elsewhere".into(), ..checkpoint("a") };
    assert!(matches!(models.want_checkpoint(other.clone()), Wanted::Failed(_)));
    job.unwrap().finish(Err(failure(LoadErrorKind::Invalid)));
    assert_eq!(status(&models, "a"), "unknown");
    finish(load(models.want_checkpoint(checkpoint("a"))).1.unwrap());
    let (_, job) = load(models.want_checkpoint(other));
    assert_eq!(status(&models, "a"), "loaded", "the old one serves until the new one does");
    let old = models.get("a").unwrap();
    finish(job.unwrap());
    assert_eq!(old.state(), ModelState::Draining);
    assert_eq!(models.entry("a").unwrap().checkpoint.path, PathBuf::from("/elsewhere"));
    assert_eq!((models.remove("a"), status(&models, "a").as_str()), (Ok(true), "unknown"));
}

#[test]
fn idle_models_make_room_and_come_back() {
    let models = Models::default();
    ["a", "b"].map(checkpoint).into_iter().for_each(|entry| models.offer(entry));
    loaded(&models, "a");
    std::thread::sleep(Duration::from_millis(2));
    loaded(&models, "b");
    let bytes = models.get("a").unwrap().summary().memory_bytes();
    assert_eq!(models.idle_bytes(), 2 * bytes);
    let held = models.get("a").unwrap();
    assert_eq!(models.idle_bytes(), bytes);
    assert_eq!(models.evict().as_deref(), Some("b"), "the other is held");
    assert_eq!((models.evict(), models.evict_idle(Duration::ZERO).len()), (None, 0));
    drop(held);
    loaded(&models, "b");
    assert_eq!(models.evict_idle(Duration::from_secs(3600)), [""; 0]);
    assert_eq!(models.evict().as_deref(), Some("a"), "it was used longest ago");
    assert_eq!(models.evict_idle(Duration::ZERO), ["b"]);
    assert_eq!(
        (status(&models, "a"), status(&models, "b")),
        ("available".into(), "available".into())
    );
}

#[test]
fn a_model_that_answers_is_not_idle() {
    let models = Models::default();
    let (model, gate) = FakeModel::saying("abc").gated();
    let model = fake::generator("a", model, &Metrics::new());
    let prompt = Prompt::Tokens(vec![1]);
    let request = GenerationRequest { prompt, ..GenerationRequest::default() };
    let mut stream = model.submit(request).unwrap();
    models.insert(model);
    assert_eq!((models.evict(), models.idle_bytes()), (None, 0));
    drop(gate);
    while stream.blocking_next().is_some() {}
    let evicted = (0..10_000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(1));
        models.evict()
    });
    assert_eq!(evicted.as_deref(), Some("a"), "once it has answered it is");
}

#[test]
fn many_threads_want_one_model_and_one_of_them_loads_it() {
    let models = Arc::new(Models::default());
    models.offer(checkpoint("a"));
    let want = |_| {
        let models = Arc::clone(&models);
        std::thread::spawn(move || load(models.want("a", false)))
    };
    let threads: Vec<_> = (0..16).map(want).collect();
    let jobs = threads.into_iter().filter_map(|thread| thread.join().unwrap().1);
    // A job that is dropped ends its load, so all are kept until they are counted.
    assert_eq!(jobs.collect::<Vec<_>>().len(), 1);
}
