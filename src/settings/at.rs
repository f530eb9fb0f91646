//! Values that know where they stand in their file.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{self, SeqAccess, Visitor};

/// What an entry says: borrowed where it is built in, which nearly all are.
pub type Text = Cow<'static, str>;

/// One-based line and column (in characters) of a value; zero where there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// A value and where it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub position: Position,
}

impl<T> At<T> {
    /// A value that stands in no file: a flag's, a variable's.
    pub fn nowhere(value: T) -> Self {
        Self { value, position: Position::default() }
    }
}

/// The name under which [`At`] asks for the position with the value.
pub(super) const AT: &str = "askance::At";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pair<T> {
            type Value = At<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its position")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<At<T>, A::Error> {
                let missing = || de::Error::invalid_length(0, &"a position and a value");
                let packed: u64 = pair.next_element()?.ok_or_else(missing)?;
                let value = pair.next_element()?.ok_or_else(missing)?;
                let half = |number: u64| u32::try_from(number & 0xffff_ffff).unwrap_or(u32::MAX);
                let position = Position { line: half(packed >> 32), column: half(packed) };
                Ok(At { value, position })
            }
        }
        deserializer.deserialize_newtype_struct(AT, Pair(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
