//! Questions of a run as elicitations, and what was chosen.

use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema, InputRequest,
};
use serde_json::{Value, json};

use crate::journal::event::{Ask, ChoiceKind, Reply};

/// The one field of the form.
const FIELD: &str = "answer";

/// The question as a form with one field: which of the options.
pub(super) fn form(ask: &Ask) -> Result<ElicitRequestParams, serde_json::Error> {
    let ids: Vec<&str> = ask.options.iter().map(|option| option.option_id.as_str()).collect();
    let names: Vec<&str> = ask.options.iter().map(|option| option.name.as_str()).collect();
    let requested_schema: ElicitationSchema = serde_json::from_value(json!({
        "type": "object",
        "properties": { FIELD: { "type": "string", "title": "Answer", "enum": ids, "enumNames": names } },
        "required": [FIELD],
    }))?;
    Ok(ElicitRequestParams::FormElicitationParams { meta: None, message: message(ask), requested_schema })
}

/// The same where the protocol lets no server ask: as part of a result.
pub(super) fn request(ask: &Ask) -> Result<InputRequest, serde_json::Error> {
    Ok(InputRequest::Elicitation(ElicitRequest::new(form(ask)?)))
}

fn message(ask: &Ask) -> String {
    let mut lines = vec![ask.title.clone(), format!("because: {}", ask.details.violation_reason)];
    if !ask.process.argv.is_empty() {
        lines.push(format!("process: {} ({}): {}", ask.process.program, ask.process.pid, ask.process.argv.join(" ")));
    }
    lines.push(format!("request: {}", ask.request));
    lines.iter().map(|line| crate::journal::visible(line)).collect::<Vec<_>>().join("\n")
}

/// What the person chose. Anything but one of the options is a no.
pub(super) fn chosen(ask: &Ask, result: &ElicitResult) -> Reply {
    let choice = match result.action {
        ElicitationAction::Accept => result.content.as_ref().and_then(|content| content[FIELD].as_str()),
        _ => None,
    };
    let offered = choice.and_then(|choice| ask.options.iter().find(|option| option.option_id == choice));
    Reply { question_id: ask.question_id.clone(), option_id: offered.map_or_else(|| no(ask), |o| o.option_id.clone()) }
}

/// What the person chose, as it stands in a request.
pub(super) fn chosen_value(ask: &Ask, result: Option<&Value>) -> Reply {
    let result = result.and_then(|result| serde_json::from_value(result.clone()).ok());
    chosen(ask, &result.unwrap_or_else(|| ElicitResult::new(ElicitationAction::Cancel)))
}

/// Nobody can be asked.
pub(super) fn denied(ask: &Ask) -> Reply {
    Reply { question_id: ask.question_id.clone(), option_id: no(ask) }
}

fn no(ask: &Ask) -> String {
    let once = ask.options.iter().find(|option| option.kind == ChoiceKind::RejectOnce);
    once.map_or_else(|| "deny".to_owned(), |option| option.option_id.clone())
}
