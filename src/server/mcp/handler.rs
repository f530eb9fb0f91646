//! The calls of clients: started, asked about, told, given up.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientResult, ContentBlock, ElicitRequest, ElicitResult,
    ElicitationAction, Implementation, InputRequiredResult, InputResponses, ListToolsResult, PaginatedRequestParams,
    ProgressNotificationParam, ProtocolVersion, ServerCapabilities, ServerConfig, ServerRequest, Tool,
};
use rmcp::service::{PeerRequestOptions, RequestContext, RoleServer};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::super::child;
use super::run::{Run, Step};
use super::tools::{self, Work};
use super::{Askance, questions};
use crate::journal::event::{Ask, Exited};
use crate::tools::failure;

/// How long a run waits for an answer that has to come with another request.
const PATIENCE: Duration = Duration::from_secs(600);
/// Runs that wait so at once.
const MOST_PARKED: usize = 64;
/// Progress is told so often at most.
const PROGRESS: Duration = Duration::from_millis(200);

/// A run that waits for the next request of its client.
struct Waiting {
    run: Run,
    asks: BTreeMap<String, Ask>,
    request: CallToolRequestParams,
    since: Instant,
    file: bool,
}

/// Runs that wait, by what their client has to show.
#[derive(Default)]
pub(super) struct Parked(Mutex<HashMap<String, Waiting>>);

impl Parked {
    fn put(&self, waiting: Waiting) -> Option<String> {
        let mut parked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Dropped, they are killed.
        parked.retain(|_, other| other.since.elapsed() < PATIENCE);
        if parked.len() >= MOST_PARKED {
            return None;
        }
        let state = super::random().ok()?;
        parked.insert(state.clone(), waiting);
        Some(state)
    }

    fn take(&self, state: &str) -> Option<Waiting> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(state);
        waiting.filter(|waiting| waiting.since.elapsed() < PATIENCE)
    }
}

/// One client, or one request of it.
#[derive(Clone)]
pub(super) struct Handler {
    askance: Arc<Askance>,
    parked: Arc<Parked>,
}

/// How the client can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Elicitation,
    /// By a result that the client answers with the request again.
    InputRequired,
    None,
}

impl Handler {
    pub(super) fn new(askance: Arc<Askance>) -> Self {
        Self::sharing(askance, Arc::default())
    }

    pub(super) fn sharing(askance: Arc<Askance>, parked: Arc<Parked>) -> Self {
        Self { askance, parked }
    }

    async fn call(&self, request: CallToolRequestParams, context: &RequestContext<RoleServer>) -> Called {
        if let Some(state) = &request.request_state {
            let Some(mut waiting) = self.parked.take(state) else {
                return Ok(failed("this call waits for nothing: it ended, or waited too long"));
            };
            if waiting.request.name != request.name || waiting.request.arguments != request.arguments {
                return Ok(failed("the answers belong to another call"));
            }
            answer(&mut waiting, request.input_responses.as_ref()).await.map_err(internal)?;
            return self.follow(waiting, context).await;
        }
        let Ok(_turn) = self.askance.turns.0.acquire().await else { return Ok(failed("the server ends")) };
        let work = tools::work(&request.name, request.arguments.clone());
        let work = work.ok_or_else(|| ErrorData::invalid_params(format!("no tool {:?}", request.name), None))?;
        match work {
            Err(wrong) => Ok(failed(&wrong)),
            Ok(Work::Check { arguments, line }) => self.check(&arguments, line, context).await,
            Ok(Work::Run { subcommand, arguments, input, keep, file }) => {
                let run = match Run::start(&self.askance, subcommand, &arguments, input, keep) {
                    Ok(run) => run,
                    Err(error) => return Ok(failed(&child::not_started(&error).message)),
                };
                let waiting = Waiting { run, asks: BTreeMap::new(), request, since: Instant::now(), file };
                self.follow(waiting, context).await
            }
        }
    }

    /// Follows a run to its end, or to where only another request brings it on.
    async fn follow(&self, mut waiting: Waiting, context: &RequestContext<RoleServer>) -> Called {
        let means = means(context);
        let mut asked = Asked::default();
        let mut told = Progress::new(context);
        loop {
            tokio::select! {
                // Dropped, the run is killed.
                () = context.ct.cancelled() => {
                    asked.withdraw_all().await;
                    return Ok(failed("cancelled"));
                }
                Some(Ok((ask, result))) = asked.tasks.join_next() => {
                    if waiting.asks.remove(&ask.question_id).is_some() {
                        waiting.run.answer(&questions::chosen(&ask, &result)).await.map_err(internal)?;
                    }
                }
                step = waiting.run.next() => match step.map_err(internal)? {
                    Step::Question(ask) => match means {
                        Means::None => waiting.run.answer(&questions::denied(&ask)).await.map_err(internal)?,
                        Means::Elicitation => {
                            waiting.asks.insert(ask.question_id.clone(), (*ask).clone());
                            asked.elicit(*ask, context).await;
                        }
                        Means::InputRequired => {
                            waiting.asks.insert(ask.question_id.clone(), *ask);
                            return self.park(waiting);
                        }
                    },
                    Step::Resolved(question) => {
                        waiting.asks.remove(&question);
                        asked.withdraw(&question);
                    }
                    Step::Output(total) => told.tell(context, total).await,
                    Step::Quiet => {}
                    Step::Over(exited) => {
                        asked.withdraw_all().await;
                        return Ok(outcome(waiting, &exited, means).await);
                    }
                },
            }
        }
    }

    fn park(&self, waiting: Waiting) -> Called {
        let mut requests = BTreeMap::new();
        for (id, ask) in &waiting.asks {
            requests.insert(id.clone(), questions::request(ask).map_err(internal)?);
        }
        match self.parked.put(waiting) {
            Some(state) => Ok(InputRequiredResult::new(Some(requests), Some(state)).into()),
            None => Ok(failed("too many calls wait for answers")),
        }
    }

    async fn check(&self, arguments: &[OsString], line: Vec<u8>, context: &RequestContext<RoleServer>) -> Called {
        let mut command = self.askance.command("check");
        command.args(arguments);
        let said = tokio::select! {
            () = context.ct.cancelled() => return Ok(failed("cancelled")),
            said = child::ask(&mut command, Some(line)) => said.map_err(internal)?,
        };
        Ok(said.map_or_else(|complaint| failed(&complaint), |verdict| CallToolResult::structured(verdict).into()))
    }
}

type Called = Result<CallToolResponse, ErrorData>;

fn failed(message: &str) -> CallToolResponse {
    CallToolResult::error(vec![ContentBlock::text(message)]).into()
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn internal(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn means(context: &RequestContext<RoleServer>) -> Means {
    let capabilities = context.client_capabilities();
    let can = capabilities.and_then(|client| client.elicitation);
    // Who says neither form nor URL means forms.
    if !can.is_some_and(|can| can.form.is_some() || can.url.is_none()) {
        return Means::None;
    }
    match context.protocol_version() {
        Some(version) if version.as_str() >= ProtocolVersion::V_2026_07_28.as_str() => Means::InputRequired,
        _ => Means::Elicitation,
    }
}

/// Elicitations that the client has not answered.
#[derive(Default)]
struct Asked {
    tasks: JoinSet<(Ask, ElicitResult)>,
    /// By question; dropped, the request is cancelled.
    open: HashMap<String, oneshot::Sender<()>>,
}

impl Asked {
    /// Asks the client; an answer that does not come is a no.
    async fn elicit(&mut self, ask: Ask, context: &RequestContext<RoleServer>) {
        let (open, withdrawn) = oneshot::channel();
        self.open.insert(ask.question_id.clone(), open);
        let sent = match questions::form(&ask) {
            Ok(form) => {
                let request = ServerRequest::ElicitRequest(ElicitRequest::new(form));
                context.peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await.ok()
            }
            Err(_) => None,
        };
        self.tasks.spawn(async move {
            let no = || ElicitResult::new(ElicitationAction::Cancel);
            let Some(mut request) = sent else { return (ask, no()) };
            let result = tokio::select! {
                answered = &mut request.rx => match answered {
                    Ok(Ok(ClientResult::ElicitResult(result))) => result,
                    _ => no(),
                },
                _ = withdrawn => {
                    // A client that is gone shows no question any more.
                    let _ = request.cancel(Some("the question needs no answer any more".to_owned())).await;
                    no()
                }
            };
            (ask, result)
        });
    }

    /// The question needs no answer any more: the client can take it away.
    fn withdraw(&mut self, question: &str) {
        self.open.remove(question);
    }

    /// The call is over, and whatever it asked.
    async fn withdraw_all(&mut self) {
        self.open.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn answer(waiting: &mut Waiting, responses: Option<&InputResponses>) -> io::Result<()> {
    for (id, ask) in std::mem::take(&mut waiting.asks) {
        let result = responses.and_then(|responses| responses.get(&id));
        waiting.run.answer(&questions::chosen_value(&ask, result)).await?;
    }
    Ok(())
}

/// What the client is told while a run goes on.
struct Progress {
    last: Option<Instant>,
    token: Option<rmcp::model::ProgressToken>,
}

impl Progress {
    fn new(context: &RequestContext<RoleServer>) -> Self {
        Self { last: None, token: context.meta.get_progress_token() }
    }

    async fn tell(&mut self, context: &RequestContext<RoleServer>, total: usize) {
        let Some(token) = &self.token else { return };
        if self.last.is_some_and(|last| last.elapsed() < PROGRESS) {
            return;
        }
        self.last = Some(Instant::now());
        #[allow(clippy::cast_precision_loss, reason = "a measure of progress")]
        let progress = ProgressNotificationParam::new(token.clone(), total as f64)
            .with_message(format!("{total} bytes of output"));
        // A client that does not listen misses nothing.
        let _ = context.peer.notify_progress(progress).await;
    }
}

/// A file tool that did not get as far as to say what is wrong.
fn not_done(exited: &Exited) -> Value {
    match (&exited.refused, &exited.error) {
        (Some(refused), _) => failure("refused", &refused.reason),
        (None, Some(error)) => failure("bad_input", error),
        (None, None) => failure("io", "the operation was ended before it was done"),
    }
}

/// What came of a run.
async fn outcome(waiting: Waiting, exited: &Exited, means: Means) -> CallToolResponse {
    let file = waiting.file;
    let (stdout, stderr) = waiting.run.finish().await;
    let denied: Vec<Value> = exited
        .denied
        .iter()
        .filter(|denied| !denied.quiet)
        .map(|denied| json!({ "operation": denied.operation, "target": denied.target, "hint": denied.hint }))
        .collect();
    let mut said = stdout.text();
    let mut structured = match serde_json::from_str::<Value>(&said) {
        Ok(answer) if file => answer,
        _ if file => not_done(exited),
        _ => json!({ "status": exited.status, "stdout": said, "stderr": stderr.text() }),
    };
    let mut line = |text: String| {
        if !said.is_empty() && !said.ends_with('\n') {
            said.push('\n');
        }
        said.push_str(&text);
    };
    if !stderr.text().is_empty() {
        line(format!("[standard error]\n{}", stderr.text()));
    }
    if stdout.left_out + stderr.left_out > 0 {
        line(format!("[{} bytes of output left out]", stdout.left_out + stderr.left_out));
        structured["left_out"] = json!(stdout.left_out + stderr.left_out);
    }
    for denied in &exited.denied {
        if !denied.quiet {
            line(format!("[denied {} {}{}]", denied.operation, denied.target, denied.way_out()));
        }
    }
    if let Some(refused) = &exited.refused {
        let nobody = if means == Means::None { " (this client cannot be asked)" } else { "" };
        line(format!("[refused: {}; to allow it: {}{nobody}]", refused.reason, refused.hint));
        structured["refused"] = json!({ "reason": refused.reason, "hint": refused.hint });
    }
    if let Some(error) = &exited.error {
        line(format!("[askance: {error}]"));
    }
    if exited.status != 0 {
        line(format!("[exit status {}]", exited.status));
    }
    if !denied.is_empty() {
        structured["denied"] = Value::Array(denied);
    }
    let mut result = match exited.status {
        0 => CallToolResult::success(vec![ContentBlock::text(said)]),
        _ => CallToolResult::error(vec![ContentBlock::text(said)]),
    };
    result.structured_content = Some(structured);
    result.into()
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("askance", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(
            "Commands and file changes run in a sandbox. What its policy does not cover is asked about, or denied \
             with what would allow it."
                .to_owned(),
        );
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: RequestContext<RoleServer>) -> Called {
        self.call(request, &context).await
    }
}
