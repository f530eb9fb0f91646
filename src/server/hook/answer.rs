//! The answer in the agent's own form.

use serde_json::{Map, Value};

use super::call::{Act, Call};
use super::format::Format;

/// What the agent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Allow {
        reason: String,
    },
    /// Run this command line in place of the agent's.
    Rewrite {
        command: String,
        reason: String,
    },
    /// The person at the agent decides. What then runs is the rewritten command line, where there is one.
    Ask {
        command: Option<String>,
        reason: String,
    },
    Deny {
        reason: String,
    },
}

impl Answer {
    /// In the words of the agent. An agent that cannot be made to ask, or would run the command line as it was,
    /// is told no.
    pub fn say(&self, call: &Call, format: &Format) -> Value {
        let answers = &format.answers;
        match self {
            Self::Allow { reason } => fill(&answers.allow, reason, None),
            Self::Rewrite { command, reason } => {
                let template = answers.rewrite.as_ref().unwrap_or(&answers.allow);
                fill(template, reason, Some(&rewritten(call, command)))
            }
            Self::Ask { command, reason } => match &answers.ask {
                Some(ask) if command.is_none() || rewrites(ask) => {
                    let arguments = command.as_ref().map(|command| rewritten(call, command));
                    fill(ask, reason, arguments.as_ref())
                }
                _ => fill(&answers.deny, reason, None),
            },
            Self::Deny { reason } => fill(&answers.deny, reason, None),
        }
    }
}

const ARGUMENTS: &str = "$arguments";
const REASON: &str = "$reason";

fn rewrites(template: &Value) -> bool {
    match template {
        Value::String(text) => text == ARGUMENTS,
        Value::Object(fields) => fields.values().any(rewrites),
        Value::Array(items) => items.iter().any(rewrites),
        _ => false,
    }
}

/// The arguments with another command line.
fn rewritten(call: &Call, command: &str) -> Value {
    let mut arguments = call.arguments.clone();
    if let Act::Shell { at, .. } = &call.act
        && let Some(place) = arguments.pointer_mut(at)
    {
        *place = Value::String(command.to_owned());
    }
    arguments
}

/// What is empty because nothing is rewritten is left out.
fn fill(template: &Value, reason: &str, arguments: Option<&Value>) -> Value {
    filled(template, reason, arguments).unwrap_or_else(|| Value::Object(Map::new()))
}

fn filled(template: &Value, reason: &str, arguments: Option<&Value>) -> Option<Value> {
    match template {
        Value::String(text) if text == ARGUMENTS => arguments.cloned(),
        Value::String(text) if text == REASON => Some(Value::String(reason.to_owned())),
        Value::Object(fields) => {
            let full = fields.iter();
            let full: Map<_, _> =
                full.filter_map(|(key, field)| Some((key.clone(), filled(field, reason, arguments)?))).collect();
            (!full.is_empty() || fields.is_empty()).then_some(Value::Object(full))
        }
        Value::Array(items) => {
            Some(Value::Array(items.iter().filter_map(|item| filled(item, reason, arguments)).collect()))
        }
        other => Some(other.clone()),
    }
}
