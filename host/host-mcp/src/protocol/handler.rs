//! Answers the requests of one session, or one request of the revisions without sessions.
//!
//! What there is and who may use it is the registry's; here a request becomes a question to it, and
//! work that nobody waits for any more is dropped at once.

#![expect(
    deprecated,
    reason = "older revisions have log messages, and clients of them expect some"
)]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::request::Parts;
use host_metrics::McpMetrics;
use host_tools::{Caller, Context, ToolError, ToolRegistry};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CustomRequest,
    CustomResult, ErrorCode, ErrorData, GetPromptRequestParams, GetPromptResponse, Implementation,
    InputResponses, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
    ServerCapabilities, ServerConfig, SetLevelRequestMethod, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::asks::Session;
use super::convert::{self, page};
use super::hear::{Hearing, level_of};
use super::watch::{Watch, follow};
use crate::envelope;

/// Resources that a session may ask to hear about.
const SUBSCRIPTIONS_MAX: usize = 256;

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) registry: ToolRegistry,
    pub(crate) metrics: McpMetrics,
    /// Ends when the host is about to stop.
    pub(crate) draining: CancellationToken,
}

/// The answering side of a session.
#[derive(Debug)]
pub(crate) struct Handler {
    shared: Arc<Shared>,
    /// Who asks, where no request says so: the person at the console.
    console: Option<Caller>,
    /// Least level of log messages that the client wants.
    level: AtomicU8,
    subscribed: Arc<Mutex<BTreeSet<String>>>,
    gone: CancellationToken,
    _gone: DropGuard,
}

impl Handler {
    pub(crate) fn new(shared: Arc<Shared>, console: Option<Caller>) -> Self {
        let gone = CancellationToken::new();
        Self {
            shared,
            console,
            level: AtomicU8::new(host_tools::LogLevel::Info as u8),
            subscribed: Arc::default(),
            _gone: gone.clone().drop_guard(),
            gone,
        }
    }

    /// Who asks: the owner of the key that came with the request.
    fn caller(&self, extensions: &rmcp::model::Extensions) -> Result<Caller, ErrorData> {
        let parts = extensions.get::<Parts>();
        let sent = parts.and_then(|parts| parts.extensions.get::<Caller>());
        sent.or(self.console.as_ref())
            .cloned()
            .ok_or_else(|| ErrorData::internal_error("nobody said who asks", None))
    }

    /// Has the registry do something for a caller, who hears about it meanwhile. What they no longer
    /// wait for is dropped.
    async fn work<T, F: Future<Output = Result<T, ToolError>>>(
        &self,
        context: &RequestContext<RoleServer>,
        input: Option<Value>,
        work: impl FnOnce(Context) -> F,
    ) -> Result<Result<T, ToolError>, ErrorData> {
        let caller = self.caller(&context.extensions)?;
        let is_modern = is_modern(context);
        // A request of these revisions says itself what it wants to hear.
        let level = match (is_modern, context.meta.log_level()) {
            (true, wanted) => wanted.map(level_of),
            (false, _) => Some(self.level.load(Ordering::Relaxed)),
        };
        let hearing = Hearing::new(context, level);
        let cancel = context.ct.child_token();
        // Whatever ends this ends the work too.
        let _cancelled = cancel.clone().drop_guard();
        let asked = Context {
            caller,
            cancel,
            notifier: hearing.notifier(),
            capabilities: convert::capabilities(context.client_capabilities()),
            client: (!is_modern).then(|| Session::client(&context.peer)),
            input,
        };
        tokio::select! {
            done = hearing.until(work(asked)) => Ok(done),
            () = context.ct.cancelled() => Ok(Err(ToolError::Cancelled)),
        }
    }

    fn catalog(
        &self,
        context: &RequestContext<RoleServer>,
    ) -> Result<Arc<host_tools::Catalog>, ErrorData> {
        Ok(self.shared.registry.list(&self.caller(&context.extensions)?))
    }

    fn subscribed(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a request is of a revision without sessions.
fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| envelope::is_modern(version.as_str()))
}

/// What a request that is made again brings with it.
#[expect(clippy::needless_pass_by_value, reason = "as rmcp gives them")]
fn input(responses: Option<InputResponses>, state: Option<String>) -> Option<Value> {
    let is_again = responses.is_some() || state.is_some();
    is_again.then(|| json!({"inputResponses": responses, "requestState": state}))
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging()
            .build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("host", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(
            "Language models that run on this host, and the tools of servers it is joined to. \
             `models` lists what can answer; `chat` and `generate` stream their text as progress."
                .to_owned(),
        );
        info
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        // Only its schema is looked at, before anybody may call it.
        let catalog = self.shared.registry.list(&Caller::everything("protocol"));
        catalog.tools.iter().find(|tool| tool.name == name).map(|tool| convert::tool(tool))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let catalog = self.catalog(&context)?;
        let (page, next) = page(&catalog.tools, request.as_ref())?;
        let tools = page.iter().map(|tool| convert::tool(tool)).collect();
        Ok(convert::listed!(ListToolsResult, tools, next))
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let catalog = self.catalog(&context)?;
        let (page, next) = page(&catalog.prompts, request.as_ref())?;
        let prompts = page.iter().map(|prompt| convert::prompt(prompt)).collect();
        Ok(convert::listed!(ListPromptsResult, prompts, next))
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let catalog = self.catalog(&context)?;
        let (page, next) = page(&catalog.resources, request.as_ref())?;
        let resources = page.iter().map(|resource| convert::resource(resource)).collect();
        Ok(convert::listed!(ListResourcesResult, resources, next))
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let catalog = self.catalog(&context)?;
        let (page, next) = page(&catalog.resource_templates, request.as_ref())?;
        let resource_templates = page.iter().map(|family| convert::template(family)).collect();
        Ok(convert::listed!(ListResourceTemplatesResult, resource_templates, next))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let CallToolRequestParams { name, arguments, input_responses, request_state, .. } = request;
        let registry = &self.shared.registry;
        let call = |asked| registry.call_tool(&name, arguments.unwrap_or_default(), asked);
        let done = self.work(&context, input(input_responses, request_state), call).await?;
        if let Err(error) = &done {
            self.shared.metrics.count_error(error.kind(), "tools/call");
        }
        convert::tool_response(done)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let ReadResourceRequestParams { uri, input_responses, request_state, .. } = request;
        let read = |asked| self.shared.registry.read_resource(&uri, asked);
        let done = self.work(&context, input(input_responses, request_state), read).await?;
        convert::read_response(done)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let GetPromptRequestParams { name, arguments, input_responses, request_state, .. } =
            request;
        let registry = &self.shared.registry;
        let fill = |asked| registry.prompt(&name, arguments.unwrap_or_default(), asked);
        let done = self.work(&context, input(input_responses, request_state), fill).await?;
        convert::prompt_response(done)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let params = serde_json::to_value(&request).map_err(convert::internal)?;
        let complete = |asked| self.shared.registry.complete(params, asked);
        convert::completion(self.work(&context, None, complete).await?)
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if is_modern(&context) {
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        self.level.store(level_of(request.level), Ordering::Relaxed);
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let catalog = self.catalog(&context)?;
        let is_listed = catalog.resources.iter().any(|resource| resource.uri == request.uri);
        let is_in_family =
            || catalog.resource_templates.iter().any(|family| family.may_hold(&request.uri));
        if !is_listed && !is_in_family() {
            return Err(convert::unknown_resource("resource", &request.uri));
        }
        let mut subscribed = self.subscribed();
        if subscribed.len() >= SUBSCRIPTIONS_MAX && !subscribed.contains(&request.uri) {
            let message = format!("at most {SUBSCRIPTIONS_MAX} resources may be subscribed to");
            return Err(ErrorData::invalid_params(message, None));
        }
        subscribed.insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscribed().remove(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        let mut filter = requested.clone();
        if let Some(uris) = &mut filter.resource_subscriptions {
            uris.truncate(SUBSCRIPTIONS_MAX);
        }
        Some(filter)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let caller = self.caller(&context.request_context().extensions)?;
        let watch = Watch::new(&self.shared.registry, caller);
        tokio::select! {
            () = follow(watch, &context) => {}
            () = context.cancelled() => {}
            () = self.shared.draining.cancelled() => {}
        }
        Ok(())
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let Ok(caller) = self.caller(&context.extensions) else { return };
        let watch = Watch::new(&self.shared.registry, caller);
        let (gone, subscribed) = (self.gone.clone(), Arc::clone(&self.subscribed));
        tokio::spawn(async move {
            tokio::select! {
                () = super::watch::tell(watch, &context.peer, &subscribed) => {}
                () = gone.cancelled() => {}
            }
        });
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let is_gone = is_modern(&context) && envelope::is_removed(&request.method);
        // A method that is known comes here when its parameters could not be read.
        if envelope::known(&request.method) != "other" && !is_gone {
            let message = format!("the parameters of {} could not be read", request.method);
            return Err(ErrorData::invalid_params(message, None));
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, Cow::from(request.method), None))
    }
}
