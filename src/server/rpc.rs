//! JSON-RPC 2.0: what a frame is, and the errors that answer one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A request, a notification or a response: whatever a frame may hold.
#[derive(Debug, Deserialize)]
struct Raw {
    jsonrpc: Option<String>,
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    method: Option<String>,
    params: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    error: Option<Value>,
}

/// `null` is a value that is there.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// One frame, understood.
#[derive(Debug)]
pub(super) enum Message {
    Request {
        /// Absent: nobody waits for the result.
        id: Option<Value>,
        method: String,
        params: Value,
    },
    Response {
        id: Value,
        /// The error that the client answers instead.
        result: Result<Value, Value>,
    },
}

/// An error object, with the id of what it answers.
#[derive(Debug)]
pub(super) struct BadFrame {
    pub(super) id: Value,
    pub(super) error: RpcError,
}

/// What a request is answered where it has no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RpcError {
    pub(super) code: i32,
    pub(super) message: String,
    /// What a program needs to know beyond the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Box<Value>>,
}

/// Codes of JSON-RPC 2.0, and our own. The names stand in the published schema.
pub(super) const CODES: [(i32, &str); 12] = [
    (-32700, "the frame is not JSON"),
    (-32600, "not a request, or longer than frameMax"),
    (-32601, "no such method"),
    (-32602, "the parameters are malformed"),
    (-32603, "the server failed"),
    (-32000, "initialize first, once"),
    (-32001, "no such session, or not this connection's"),
    (-32002, "no such command, or it is over"),
    (-32003, "no such question is open, or the option was not offered"),
    (-32004, "only an approver may do this"),
    (-32005, "too much at once: commands, or input that is not read"),
    (-32006, "the operation on files was refused or failed; data says how"),
];

macro_rules! errors {
    ($($name:ident = $code:literal),* $(,)?) => {
        $(pub(super) fn $name(message: impl Into<String>) -> Self {
            Self { code: $code, message: message.into(), data: None }
        })*
    };
}

impl RpcError {
    errors! {
        parse = -32700,
        invalid = -32600,
        no_method = -32601,
        params = -32602,
        internal = -32603,
        not_initialized = -32000,
        no_session = -32001,
        no_command = -32002,
        no_question = -32003,
        not_allowed = -32004,
        too_much = -32005,
        not_done = -32006,
    }
}

impl Message {
    pub(super) fn parse(frame: &[u8]) -> Result<Self, BadFrame> {
        if values(frame) > VALUES_MAX {
            let error = RpcError::invalid(format!("the frame holds more than {VALUES_MAX} values"));
            return Err(BadFrame { id: Value::Null, error });
        }
        let value: Value = serde_json::from_slice(frame)
            .map_err(|error| BadFrame { id: Value::Null, error: RpcError::parse(format!("not JSON: {error}")) })?;
        if value.is_array() {
            return Err(BadFrame { id: Value::Null, error: RpcError::invalid("batches are not supported") });
        }
        let id = value.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or_default();
        let bad = |error| BadFrame { id: id.clone(), error };
        let raw: Raw =
            serde_json::from_value(value).map_err(|error| bad(RpcError::invalid(format!("not a request: {error}"))))?;
        if raw.jsonrpc.as_deref() != Some("2.0") {
            return Err(bad(RpcError::invalid("jsonrpc has to be \"2.0\"")));
        }
        match (raw.method, raw.id, raw.result, raw.error) {
            (Some(_), Some(id), ..) if !id.is_string() && !id.is_number() => {
                Err(bad(RpcError::invalid("an id is a string or a number")))
            }
            (Some(method), id, None, None) => {
                Ok(Self::Request { id, method, params: raw.params.unwrap_or_else(|| json!({})) })
            }
            (None, Some(id), Some(result), None) => Ok(Self::Response { id, result: Ok(result) }),
            (None, Some(id), None, Some(error)) => Ok(Self::Response { id, result: Err(error) }),
            _ => Err(bad(RpcError::invalid("neither a request nor a response"))),
        }
    }
}

/// Values that one frame holds at most: each costs many times its byte once it is understood.
const VALUES_MAX: usize = 65_536;

/// About how many values a frame holds: what stands between commas and brackets outside of strings.
fn values(frame: &[u8]) -> usize {
    let (mut in_string, mut escaped, mut found) = (false, false, 1);
    for byte in frame {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => found += 1,
            _ => {}
        }
    }
    found
}

/// A frame with its line end.
fn frame(value: &impl Serialize) -> Vec<u8> {
    // Everything that is sent has string keys and no failing parts.
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[derive(Serialize)]
struct Outgoing<'a, T> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    method: &'a str,
    params: &'a T,
}

pub(super) fn notification(method: &str, params: &impl Serialize) -> Vec<u8> {
    frame(&Outgoing { jsonrpc: "2.0", id: None, method, params })
}

pub(super) fn request(id: &str, method: &str, params: &impl Serialize) -> Vec<u8> {
    frame(&Outgoing { jsonrpc: "2.0", id: Some(id), method, params })
}

pub(super) fn response(id: &Value, result: &Result<Value, RpcError>) -> Vec<u8> {
    frame(&match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_are_none_say_why_and_name_the_id_they_have() {
        let table = [
            ("{", -32700, Value::Null),
            ("\u{fffd}", -32700, Value::Null),
            ("[]", -32600, Value::Null),
            ("7", -32600, Value::Null),
            (r#"{"id":1,"method":"x"}"#, -32600, json!(1)),
            (r#"{"jsonrpc":"2.0","id":"a"}"#, -32600, json!("a")),
            (r#"{"jsonrpc":"2.0","id":2,"method":7}"#, -32600, json!(2)),
            (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":3,"method":"x","result":1}"#, -32600, json!(3)),
        ];
        for (text, code, id) in table {
            let bad = Message::parse(text.as_bytes()).unwrap_err();
            assert_eq!((bad.error.code, bad.id), (code, id), "{text}");
        }
        let deep = "[".repeat(60_000);
        assert_eq!(Message::parse(deep.as_bytes()).unwrap_err().error.code, -32700);
        let many = format!(r#"{{"jsonrpc":"2.0","method":"x","params":[{}0]}}"#, "0,".repeat(VALUES_MAX));
        assert_eq!(Message::parse(many.as_bytes()).unwrap_err().error.code, -32600);
        let text = format!(r#"{{"jsonrpc":"2.0","method":"x","params":["\"{}"]}}"#, "[,".repeat(VALUES_MAX));
        assert!(Message::parse(text.as_bytes()).is_ok(), "what stands in a string is one value");
    }

    #[test]
    fn requests_and_responses_are_told_apart() {
        let parse = |text: &str| Message::parse(text.as_bytes()).unwrap();
        assert!(matches!(parse(r#"{"jsonrpc":"2.0","method":"x"}"#), Message::Request { id: None, .. }));
        assert!(matches!(parse(r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#), Message::Request { id: Some(_), .. }));
        let response = parse(r#"{"jsonrpc":"2.0","id":1,"result":null}"#);
        assert!(matches!(response, Message::Response { result: Ok(Value::Null), .. }));
        let response = parse(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}"#);
        assert!(matches!(response, Message::Response { result: Err(_), .. }));
    }

    #[test]
    fn every_error_has_a_code_that_is_published() {
        let errors = [RpcError::parse(""), RpcError::no_session(""), RpcError::too_much("")];
        for error in errors {
            assert!(CODES.iter().any(|(code, _)| *code == error.code), "{}", error.code);
        }
    }
}
