//! What a machine is told of a run while it goes on: one JSON object a line (`-o stream-json`), the
//! last of them always `exited`. The server passes the same objects on to its clients.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::{Decision, Denied, Exit, FileEntry, ProcessReport};

/// One line of the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The request may start, and starts.
    Started(Started),
    /// The command wrote something.
    Output(Output),
    /// Somebody has to answer before the process that asks goes on.
    Question(Box<Ask>),
    /// A question needs no answer any more.
    QuestionResolved(Resolved),
    /// An answer had no effect.
    AnswerRejected(Rejected),
    /// A file was changed by the broker. What the kernel's floor lets through by itself is not seen.
    FileChanged(FileEntry),
    /// Everything is over; nothing follows.
    Exited(Exited),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Started {
    /// The run's id, as in its report.
    pub run: String,
    /// The argument vector, or the one text that a shell reads.
    pub command: Vec<String>,
    pub cwd: PathBuf,
    pub workspace: PathBuf,
    pub decision: Decision,
}

/// Where a command wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    pub stream: Channel,
    #[serde(flatten)]
    pub data: Data,
}

/// Bytes: as they are where they are UTF-8, else in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    Text(String),
    Base64(String),
}

/// A question to whoever answers. The options have the shape of the Agent Client Protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ask {
    /// Unique within the run.
    pub question_id: String,
    /// What is asked, in one line.
    pub title: String,
    /// The request that the process belongs to, in one line.
    pub request: String,
    pub process: ProcessReport,
    pub details: Details,
    pub options: Vec<Choice>,
}

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    pub kind: DetailsKind,
    /// `read`, `write`, `connect`, `bind`, `unix`, `command`.
    pub operation_type: String,
    /// The real path, `domain:port`, the socket, or the command line.
    pub target: String,
    pub violation_type: ViolationType,
    /// In words, with the rule where one asks.
    pub violation_reason: String,
    /// The rule is the organisation's: the question can only be rejected.
    pub is_org_deny: bool,
    /// The file and line of the rule that asks, or its layer's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule_source: Option<String>,
}

/// The act that a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetailsKind {
    Exec,
    Edit,
    Create,
    ApplyPatch,
    McpTool,
    SandboxViolation,
}

/// Why the policy does not allow it outright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ViolationType {
    /// No list covers the target.
    NotListed,
    /// A deny rule does.
    Denied,
    /// A public name has an address that is not public.
    PrivateAddress,
    /// An entry in a shared temporary directory that is older than the run.
    NotOurs,
    /// A command list, an interlock, or a risk above the level.
    Command,
}

/// One answer that may be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    pub option_id: String,
    pub name: String,
    pub kind: ChoiceKind,
}

/// What an answer does, for clients that do not read its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceKind {
    AllowOnce,
    AllowAlways,
    RejectOnce,
    RejectAlways,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    pub question_id: String,
    pub outcome: Outcome,
    /// The answer, where one was given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub option_id: Option<String>,
}

/// How a question came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Answered,
    /// Its process died or was signalled, or the policy covers the access by now.
    Withdrawn,
    /// Nobody is there to answer: denied.
    Denied,
}

/// An answer that had no effect, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub question_id: Option<String>,
    pub reason: String,
}

/// An answer, as a line to the descriptor that `--prompt fd=N` names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reply {
    pub question_id: String,
    /// One of the question's options.
    pub option_id: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exited {
    /// The exit status of `askance exec`: the command's own, 128+n for a signal, 124 to 127.
    pub status: u8,
    /// How the command itself ended, where it started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit: Option<Exit>,
    /// Why it did not start, and what would allow it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<Refused>,
    /// Why askance itself failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    #[serde(default)]
    pub duration_ms: u64,
    /// What the policy denied, each with the command that would allow it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub denied: Vec<Denied>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Events that nobody read in time; denials and notes that did not fit here. Reports have them.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    pub reason: String,
    pub hint: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Data {
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    /// The bytes, or nothing where the text is no base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.as_bytes().to_vec()),
            Self::Base64(text) => STANDARD.decode(text).ok(),
        }
    }
}

/// Cuts a stream of bytes into pieces that do not tear UTF-8 characters apart.
#[derive(Debug, Default)]
pub struct Cutter {
    /// At most the first three bytes of a character.
    rest: Vec<u8>,
}

impl Cutter {
    /// What can be told now; the beginning of a character is kept for the next piece.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Data> {
        let mut piece = std::mem::take(&mut self.rest);
        piece.extend_from_slice(bytes);
        if let Err(error) = std::str::from_utf8(&piece)
            && error.error_len().is_none()
        {
            self.rest = piece.split_off(error.valid_up_to());
        }
        (!piece.is_empty()).then(|| Data::of(&piece))
    }

    /// What was kept, at the end.
    pub fn finish(&mut self) -> Option<Data> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| Data::of(&rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_torn_apart() {
        let text = |text: &str| Some(Data::Text(text.into()));
        let mut cutter = Cutter::default();
        let bytes = "aü€".as_bytes();
        assert_eq!(cutter.push(&bytes[..2]), text("a"));
        assert_eq!(cutter.push(&bytes[2..4]), text("ü"));
        assert_eq!(cutter.push(&bytes[4..5]), None);
        assert_eq!(cutter.push(&bytes[5..]), text("€"));
        assert_eq!(cutter.finish(), None);
    }

    #[test]
    fn what_is_no_text_is_base64_and_comes_back_whole() {
        let mut cutter = Cutter::default();
        let data = cutter.push(b"\xff\x00a").unwrap();
        assert_eq!(data, Data::Base64("/wBh".into()));
        assert_eq!(data.bytes().unwrap(), b"\xff\x00a");
        assert_eq!(cutter.push(b"\xe2\x82"), None);
        assert_eq!(cutter.finish().unwrap().bytes().unwrap(), b"\xe2\x82", "the end of a torn character");
        assert_eq!(Data::Base64("?".into()).bytes(), None);
    }

    #[test]
    fn lines_name_their_type_first_and_come_back_the_same() {
        let events = [
            Event::Output(Output { stream: Channel::Stdout, data: Data::Text("a\n".into()) }),
            Event::Exited(Exited { status: 3, exit: Some(Exit::Code(3)), ..Exited::default() }),
        ];
        let lines: Vec<String> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        assert_eq!(lines[0], r#"{"type":"output","stream":"stdout","text":"a\n"}"#);
        assert_eq!(lines[1], r#"{"type":"exited","status":3,"exit":{"code":3},"durationMs":0}"#);
        for (event, line) in events.iter().zip(lines) {
            assert_eq!(&serde_json::from_str::<Event>(&line).unwrap(), event);
        }
    }
}
