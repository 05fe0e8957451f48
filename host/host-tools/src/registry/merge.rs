//! One catalog out of many, in which every name leads to one provider.
//!
//! A name that two providers use would let one answer for the other. The host's own things keep
//! their names; among the others nobody wins, and all who claim the name are reported.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use tokio::sync::watch;

use super::schema::Schema;
use crate::{Catalog, Owner, Provider, ResourceTemplate, Tool, ToolOutcome};

/// What the registry knows at a moment.
#[derive(Default)]
pub(super) struct Snapshot {
    pub(super) catalog: Arc<Catalog>,
    pub(super) tools: BTreeMap<String, ToolEntry>,
    pub(super) prompts: BTreeMap<String, Arc<dyn Provider>>,
    pub(super) resources: BTreeMap<String, Arc<dyn Provider>>,
    pub(super) templates: BTreeMap<String, Arc<dyn Provider>>,
    pub(super) problems: Vec<String>,
    /// The changes of each provider; those that this has not seen make it old.
    changes: Vec<watch::Receiver<u64>>,
}

/// A tool, who answers for it, and what fits it.
#[derive(Clone)]
pub(super) struct ToolEntry {
    pub(super) tool: Arc<Tool>,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) input: Arc<Schema>,
    output: Option<Arc<Schema>>,
}

impl ToolEntry {
    /// The entry of a tool; that of the last snapshot if the tool is the same.
    fn of(
        tool: Arc<Tool>,
        provider: Arc<dyn Provider>,
        known: Option<&ToolEntry>,
    ) -> Result<Self, String> {
        if let Some(known) = known.filter(|known| known.tool == tool) {
            let (input, output) = (Arc::clone(&known.input), known.output.clone());
            return Ok(Self { tool, provider, input, output });
        }
        let compile = |what: &str, schema: &crate::Map| {
            Schema::compile(schema).map(Arc::new).map_err(|error| {
                format!("tool `{}`: its {what} schema is not valid: {error}", tool.name)
            })
        };
        let input = compile("input", &tool.input_schema)?;
        let output = match &tool.output_schema {
            Some(schema) => Some(compile("output", schema)?),
            None => None,
        };
        Ok(Self { tool, provider, input, output })
    }

    /// A result that keeps what its tool promised, or a failure that says what is wrong with it.
    pub(super) fn judge(&self, outcome: ToolOutcome) -> ToolOutcome {
        let Some(schema) = &self.output else { return outcome };
        if outcome.is_error || outcome.input_required.is_some() {
            return outcome;
        }
        let fault = match &outcome.structured {
            Some(structured) => schema.check(structured).err(),
            None => Some("there is none".to_owned()),
        };
        match fault {
            None => outcome,
            Some(fault) => ToolOutcome::failure(format!(
                "the structured result of `{}` does not fit its schema: {fault}",
                self.tool.name
            )),
        }
    }
}

impl Snapshot {
    /// Whether no provider has changed since.
    pub(super) fn is_current(&self) -> bool {
        self.changes.iter().all(|changes| !changes.has_changed().unwrap_or(false))
    }

    /// What the providers offer now; `known` is the snapshot before.
    pub(super) fn of(providers: &[Arc<dyn Provider>], known: &Self) -> Self {
        // Before the catalogs, so that a change in between is not taken for seen.
        let changes = providers.iter().map(|provider| {
            let mut changes = provider.changed();
            changes.mark_unchanged();
            changes
        });
        let changes = changes.collect();
        let catalogs: Vec<_> = providers.iter().map(|p| (p, p.catalog())).collect();
        let mut problems = Vec::new();
        let mut names = Names::new("tool", &mut problems);
        for (provider, catalog) in &catalogs {
            for tool in &catalog.tools {
                names.claim(&tool.name, &tool.owner, tool, provider);
            }
        }
        let mut tools = BTreeMap::new();
        for (name, (tool, provider)) in names.settle() {
            match ToolEntry::of(tool, provider, known.tools.get(&name)) {
                Ok(entry) => drop(tools.insert(name, entry)),
                Err(problem) => problems.push(problem),
            }
        }
        let mut names = Names::new("prompt", &mut problems);
        for (provider, catalog) in &catalogs {
            for prompt in &catalog.prompts {
                names.claim(&prompt.name, &prompt.owner, prompt, provider);
            }
        }
        let prompts = names.settle();
        let mut names = Names::new("resource", &mut problems);
        for (provider, catalog) in &catalogs {
            for resource in &catalog.resources {
                names.claim(&resource.uri, &resource.owner, resource, provider);
            }
        }
        let resources = names.settle();
        let mut names = Names::new("resource template", &mut problems);
        for (provider, catalog) in &catalogs {
            for template in &catalog.resource_templates {
                names.claim(&template.uri_template, &template.owner, template, provider);
            }
        }
        let templates = names.settle();
        let catalog = Catalog {
            tools: tools.values().map(|entry| Arc::clone(&entry.tool)).collect(),
            prompts: items(&prompts),
            resources: items(&resources),
            resource_templates: items(&templates),
        };
        Self {
            catalog: Arc::new(catalog),
            tools,
            prompts: owners(prompts),
            resources: owners(resources),
            templates: owners(templates),
            problems,
            changes,
        }
    }

    /// Who answers for a resource: the one that lists it, else the first whose template fits.
    pub(super) fn resource(&self, uri: &str) -> Option<&Arc<dyn Provider>> {
        let fits = |template: &&Arc<ResourceTemplate>| template.may_hold(uri);
        self.resources.get(uri).or_else(|| {
            let template = self.catalog.resource_templates.iter().find(fits)?;
            self.templates.get(&template.uri_template)
        })
    }
}

type Claimed<T> = BTreeMap<String, (Arc<T>, Arc<dyn Provider>)>;

fn items<T>(claimed: &Claimed<T>) -> Vec<Arc<T>> {
    claimed.values().map(|(item, _)| Arc::clone(item)).collect()
}

fn owners<T>(claimed: Claimed<T>) -> BTreeMap<String, Arc<dyn Provider>> {
    claimed.into_iter().map(|(name, (_, provider))| (name, provider)).collect()
}

/// The names of one kind of thing, as they are claimed.
struct Names<'a, T> {
    kind: &'static str,
    claims: BTreeMap<String, Claim<T>>,
    problems: &'a mut Vec<String>,
}

struct Claim<T> {
    item: Arc<T>,
    provider: Arc<dyn Provider>,
    owners: Vec<Owner>,
}

impl<'a, T> Names<'a, T> {
    fn new(kind: &'static str, problems: &'a mut Vec<String>) -> Self {
        Self { kind, claims: BTreeMap::new(), problems }
    }

    fn claim(&mut self, name: &str, owner: &Owner, item: &Arc<T>, provider: &Arc<dyn Provider>) {
        let claim = || Claim {
            item: Arc::clone(item),
            provider: Arc::clone(provider),
            owners: vec![owner.clone()],
        };
        match self.claims.entry(name.to_owned()) {
            Entry::Vacant(free) => {
                free.insert(claim());
            }
            Entry::Occupied(mut taken) => {
                let mut owners = std::mem::take(&mut taken.get_mut().owners);
                if *owner == Owner::Host {
                    *taken.get_mut() = claim();
                }
                owners.push(owner.clone());
                taken.get_mut().owners = owners;
            }
        }
    }

    /// The names that lead to one provider; the others become problems.
    fn settle(self) -> Claimed<T> {
        let mut settled = BTreeMap::new();
        for (name, claim) in self.claims {
            let own = claim.owners.iter().filter(|owner| **owner == Owner::Host).count();
            if claim.owners.len() > 1 {
                let who: Vec<_> = claim.owners.iter().map(Owner::name).collect();
                let kept = if own == 1 { "only the host's is offered" } else { "none is offered" };
                let (kind, who) = (self.kind, who.join(", "));
                self.problems.push(format!("{kind} `{name}` is claimed by {who}: {kept}"));
            }
            if claim.owners.len() == 1 || own == 1 {
                settled.insert(name, (claim.item, claim.provider));
            }
        }
        settled
    }
}
