//! What plugins offer: tools, prompts and resources that run in the host's own process.
//!
//! They keep the names that their plugin gave them; a name that two plugins give is offered by
//! neither. A plugin's code may block, so it runs on threads that are there for that, a bounded
//! number of calls at a time.

mod call;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host_loader::ToolProvider;
use plugin_api::{ErrorKind, ToolOffer, Wanted};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::config::Names;
use crate::result::{neighbourly, outcome};
use crate::{Answer, Catalog, Context, Map, Owner, Provider, ToolError, ToolOutcome, listing};

/// Calls of one plugin that run at the same time.
const CALLS_MAX: usize = 64;

/// JSON-RPC: the parameters are no good.
const INVALID_PARAMS: i32 = -32602;

/// The tools of all plugins; whoever loads plugins says which there are.
#[derive(Debug, Default)]
pub struct PluginTools {
    offers: Mutex<Arc<Offers>>,
    version: watch::Sender<u64>,
}

/// What there is at a moment.
#[derive(Debug, Default)]
struct Offers {
    catalog: Arc<Catalog>,
    plugins: Vec<Arc<Plugin>>,
}

/// One plugin that offers tools.
#[derive(Debug, Clone)]
struct Plugin {
    provider: Arc<ToolProvider>,
    version: u64,
    catalog: Arc<Catalog>,
    permits: Arc<Semaphore>,
}

impl PluginTools {
    /// Takes in what these providers offer, in place of all others. It asks the plugins, so it may
    /// block.
    pub fn replace(&self, providers: impl Iterator<Item = Arc<ToolProvider>>) {
        let plugins = providers.map(|provider| Arc::new(Plugin::new(provider))).collect();
        *self.lock() = Arc::new(Offers::of(plugins));
        self.version.send_modify(|version| *version += 1);
    }

    /// Takes in what one of them offers now.
    fn renew(&self, renewed: Plugin) {
        let mut offers = self.lock();
        let mut plugins = offers.plugins.clone();
        let is_it = |plugin: &&mut Arc<Plugin>| Arc::ptr_eq(&plugin.provider, &renewed.provider);
        // It may have gone meanwhile.
        let Some(place) = plugins.iter_mut().find(is_it) else { return };
        *place = Arc::new(renewed);
        *offers = Arc::new(Offers::of(plugins));
        drop(offers);
        self.version.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Offers>> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a request at the plugin that it belongs to.
    async fn ask(
        &self,
        find: impl Fn(&Catalog) -> Option<Wanted>,
        (kind, name): (&'static str, &str),
        context: Context,
    ) -> Result<Value, ToolError> {
        let offers = Arc::clone(&self.lock());
        let found = offers.plugins.iter().find_map(|plugin| Some((plugin, find(&plugin.catalog)?)));
        let (plugin, wanted) = found.ok_or_else(|| ToolError::unknown(kind, name))?;
        let (result, renewed) = call::run(Arc::clone(plugin), wanted, context).await?;
        if let Some(renewed) = renewed {
            self.renew(renewed);
        }
        result.map_err(|error| match error.source.kind() {
            ErrorKind::NotFound => ToolError::unknown(kind, name),
            ErrorKind::Invalid => ToolError::Protocol {
                code: INVALID_PARAMS,
                message: format!("{}: {error}", error.plugin),
                data: None,
            },
            _ => plugin.failed(error.source.message()),
        })
    }
}

impl Offers {
    fn of(plugins: Vec<Arc<Plugin>>) -> Self {
        let mut all = Catalog::default();
        for catalog in plugins.iter().map(|plugin| &plugin.catalog) {
            all.tools.extend(catalog.tools.iter().cloned());
            all.prompts.extend(catalog.prompts.iter().cloned());
            all.resources.extend(catalog.resources.iter().cloned());
            all.resource_templates.extend(catalog.resource_templates.iter().cloned());
        }
        Self { catalog: Arc::new(all), plugins }
    }
}

impl Plugin {
    fn new(provider: Arc<ToolProvider>) -> Self {
        let permits = Arc::new(Semaphore::new(CALLS_MAX));
        Self { provider, version: 0, catalog: Arc::default(), permits }.read()
    }

    /// The same with what it offers now.
    fn read(mut self) -> Self {
        // Before the offer, so that a change in between is seen later.
        self.version = self.provider.version();
        let plugin = self.provider.plugin();
        let offer = self.provider.offer().unwrap_or_else(|error| {
            tracing::warn!(%plugin, %error, "a plugin's tools are not offered");
            ToolOffer::default()
        });
        self.catalog = Arc::new(catalog(plugin, &offer));
        self
    }

    /// The same, if it says that it offers something else by now.
    fn renewed(&self) -> Option<Self> {
        (self.provider.version() != self.version).then(|| self.clone().read())
    }

    fn failed(&self, reason: &str) -> ToolError {
        let who = format!("plugin {}", self.provider.plugin());
        ToolError::Failed { who, reason: reason.to_owned() }
    }
}

/// The offer of a plugin without what is not in order.
fn catalog(plugin: &str, offer: &ToolOffer) -> Catalog {
    let owner = Owner::Plugin(plugin.into());
    let mut tools = Vec::new();
    for value in &offer.tools {
        match listing::tool(&Names::Flat, &owner, value) {
            Ok(mut tool) => {
                let needs = value["clientNeeds"].as_array().into_iter().flatten();
                tool.client_needs = needs.filter_map(Value::as_str).map(str::to_owned).collect();
                tools.push(Arc::new(tool));
            }
            Err(problem) => tracing::warn!(%plugin, %problem, "not offered"),
        }
    }
    Catalog {
        tools,
        prompts: listing::prompts(&Names::Flat, &owner, &offer.prompts),
        resources: listing::resources(&Names::Flat, &owner, &offer.resources),
        resource_templates: listing::templates(&Names::Flat, &owner, &offer.resource_templates),
    }
}

impl Provider for PluginTools {
    fn name(&self) -> &str {
        "plugins"
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.lock().catalog)
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn call_tool<'a>(
        &'a self,
        name: &'a str,
        arguments: Map,
        context: Context,
    ) -> Answer<'a, ToolOutcome> {
        Box::pin(async move {
            let find = |catalog: &Catalog| {
                let tool = catalog.tools.iter().find(|tool| tool.name == name)?;
                let name = tool.original_name.clone();
                Some(Wanted::Tool { name, arguments: arguments.clone() })
            };
            self.ask(find, ("tool", name), context).await.map(outcome)
        })
    }

    fn read_resource<'a>(&'a self, uri: &'a str, context: Context) -> Answer<'a, Value> {
        Box::pin(async move {
            let find = |catalog: &Catalog| {
                let is_listed = catalog.resources.iter().any(|resource| resource.uri == uri);
                let is_in_family =
                    || catalog.resource_templates.iter().any(|family| family.may_hold(uri));
                (is_listed || is_in_family()).then(|| Wanted::Resource { uri: uri.to_owned() })
            };
            self.ask(find, ("resource", uri), context).await.map(neighbourly)
        })
    }

    fn prompt<'a>(&'a self, name: &'a str, arguments: Map, context: Context) -> Answer<'a, Value> {
        Box::pin(async move {
            let find = |catalog: &Catalog| {
                let prompt = catalog.prompts.iter().find(|prompt| prompt.name == name)?;
                let name = prompt.original_name.clone();
                Some(Wanted::Prompt { name, arguments: arguments.clone() })
            };
            self.ask(find, ("prompt", name), context).await.map(neighbourly)
        })
    }

    fn complete<'a>(&'a self, params: Value, context: Context) -> Answer<'a, Value> {
        Box::pin(async move {
            let of = |key: &str| params["ref"][key].as_str();
            let (name, uri) = (of("name"), of("uri"));
            let find = |catalog: &Catalog| {
                let mut params = params.clone();
                let prompt = catalog.prompts.iter().find(|prompt| Some(&*prompt.name) == name);
                if let Some(prompt) = prompt {
                    params["ref"]["name"] = Value::from(prompt.original_name.as_str());
                }
                let is_known = prompt.is_some()
                    || catalog.resources.iter().any(|it| Some(&*it.uri) == uri)
                    || catalog.resource_templates.iter().any(|it| Some(&*it.uri_template) == uri);
                is_known.then_some(Wanted::Completion { params })
            };
            let unknown = ("reference", name.or(uri).unwrap_or_default());
            self.ask(find, unknown, context).await.map(neighbourly)
        })
    }
}
