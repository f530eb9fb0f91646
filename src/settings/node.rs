//! A `serde` deserializer over the syntax tree of a settings file, which knows where everything
//! stands and names what it did not expect.

use std::fmt;

use jsonc_parser::ast::{ObjectProp, ObjectPropName, Value};
use jsonc_parser::common::Ranged;
use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::at::{AT, Position};
use super::list::List;
use super::nearest::nearest;
use super::read::{Mistake, Problem};

/// Where each line of a text begins.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    pub(super) fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|&start| start <= offset);
        let begin = self.starts[line - 1];
        let column = self.text.get(begin..offset).map_or(0, |before| before.chars().count()) + 1;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Position { line: count(line), column: count(column) }
    }

    /// Line and column in one number, the way they pass through `serde`.
    fn packed(&self, offset: usize) -> u64 {
        let position = self.position(offset);
        u64::from(position.line) << 32 | u64::from(position.column)
    }
}

/// A mistake on its way up the tree, which gathers the key path.
#[derive(Debug)]
pub(super) struct Unfit {
    offset: Option<usize>,
    /// Innermost first.
    path: Vec<Step>,
    what: What,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Item(usize),
}

#[derive(Debug)]
enum What {
    Type { expected: String, found: &'static str },
    Value { expected: String, found: String },
    UnknownKey { key: String, known: &'static [&'static str] },
    DuplicateKey { key: String },
}

impl Unfit {
    fn new(what: What) -> Self {
        Self { offset: None, path: Vec::new(), what }
    }

    fn at(mut self, offset: usize) -> Self {
        self.offset.get_or_insert(offset);
        self
    }

    fn below(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    pub(super) fn into_mistake(self, lines: &Lines<'_>, start: usize) -> Mistake {
        let key = key_path(&self.path);
        let problem = match self.what {
            What::Type { expected, found } => Problem::WrongType { key, expected, found },
            What::Value { expected, found } => Problem::WrongValue { key, expected, found },
            What::DuplicateKey { key } => Problem::DuplicateKey { key },
            What::UnknownKey { key: unknown, known } => {
                let nearest = nearest(&unknown, known).or_else(|| elsewhere(&unknown));
                Problem::UnknownKey { key: unknown, within: key, nearest, known }
            }
        };
        Mistake { position: lines.position(self.offset.unwrap_or(start)), problem }
    }
}

/// The key's own place, if it is a key of some other object.
fn elsewhere(key: &str) -> Option<String> {
    let named = |list: &List| list.keys().last().is_some_and(|last| *last == key);
    List::ALL.iter().find(|list| named(list)).map(|list| list.path())
}

fn key_path(innermost_first: &[Step]) -> String {
    let mut text = String::new();
    for step in innermost_first.iter().rev() {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Item(index) => text.push_str(&format!("[{index}]")),
        }
    }
    if text.is_empty() { "the file".to_owned() } else { text }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.what)
    }
}

impl std::error::Error for Unfit {}

impl de::Error for Unfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(What::Type { expected: message.to_string(), found: "something else" })
    }
    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        let expected = format!("one of {}", known.join(", "));
        Self::new(What::Value { expected, found: word.to_owned() })
    }
    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(What::UnknownKey { key: key.to_owned(), known })
    }
    fn duplicate_field(key: &'static str) -> Self {
        Self::new(What::DuplicateKey { key: key.to_owned() })
    }
    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(What::Value { expected: expected.to_string(), found: found.to_string() })
    }
}

/// A value of the syntax tree, as a deserializer.
#[derive(Clone, Copy)]
pub(super) struct Node<'s, 'a> {
    pub(super) value: &'s Value<'a>,
    pub(super) lines: &'s Lines<'s>,
}

impl Node<'_, '_> {
    fn unfit(&self, expected: impl Into<String>) -> Unfit {
        let found = match self.value {
            Value::StringLit(_) => "a string",
            Value::NumberLit(_) => "a number",
            Value::BooleanLit(_) => "true or false",
            Value::Object(_) => "an object",
            Value::Array(_) => "a list",
            Value::NullKeyword(_) => "null",
        };
        Unfit::new(What::Type { expected: expected.into(), found }).at(self.value.start())
    }

    fn string(&self) -> Result<&str, Unfit> {
        match self.value {
            Value::StringLit(text) => Ok(&text.value),
            _ => Err(self.unfit("a string")),
        }
    }

    fn located<T>(&self, result: Result<T, Unfit>) -> Result<T, Unfit> {
        result.map_err(|unfit| unfit.at(self.value.start()))
    }
}

impl<'de> de::Deserializer<'de> for Node<'_, '_> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.value {
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::StringLit(_) => self.deserialize_str(visitor),
            _ => Err(self.unfit(format!("{}", &visitor as &dyn de::Expected))),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.value {
            Value::BooleanLit(literal) => self.located(visitor.visit_bool(literal.value)),
            _ => Err(self.unfit("true or false")),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        const EXPECTED: &str = "a whole number of at least 1";
        let Value::NumberLit(literal) = self.value else { return Err(self.unfit(EXPECTED)) };
        match literal.value.parse() {
            Ok(number) if number > 0 => self.located(visitor.visit_u64(number)),
            _ => {
                let found = literal.value.to_owned();
                let what = What::Value { expected: EXPECTED.to_owned(), found };
                Err(Unfit::new(what).at(self.value.start()))
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.located(visitor.visit_str(self.string()?))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_str(visitor)
    }

    /// A key that is there has a value: `null` is nobody's.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Unfit> {
        if name == AT {
            visitor.visit_seq(Positioned { node: self, given: 0 })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.value {
            Value::Array(array) => {
                let items = array.elements.iter().enumerate();
                visitor.visit_seq(Items { items, lines: self.lines })
            }
            _ => Err(self.unfit("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.value {
            Value::Object(object) => {
                let entries = Entries { all: &object.properties, next: 0, lines: self.lines };
                self.located(visitor.visit_map(entries))
            }
            _ => Err(self.unfit("an object")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        match self.value {
            Value::StringLit(text) => self.located(visitor.visit_enum(StrDeserializer::new(&text.value))),
            _ => Err(self.unfit(format!("one of {}", words.join(", ")))),
        }
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct
        tuple tuple_struct identifier ignored_any
    }
}

struct Items<'s, 'a> {
    items: std::iter::Enumerate<std::slice::Iter<'s, Value<'a>>>,
    lines: &'s Lines<'s>,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Unfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unfit> {
        let Some((index, value)) = self.items.next() else { return Ok(None) };
        seed.deserialize(Node { value, lines: self.lines }).map(Some).map_err(|unfit| unfit.below(Step::Item(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'s, 'a> {
    all: &'s [ObjectProp<'a>],
    next: usize,
    lines: &'s Lines<'s>,
}

fn name<'p>(property: &'p ObjectProp<'_>) -> &'p str {
    match &property.name {
        ObjectPropName::String(text) => &text.value,
        ObjectPropName::Word(word) => word.value,
    }
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Unfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unfit> {
        let Some(property) = self.all.get(self.next) else { return Ok(None) };
        let key = name(property);
        let start = property.name.start();
        if self.all[..self.next].iter().any(|earlier| name(earlier) == key) {
            let what = What::DuplicateKey { key: key.to_owned() };
            return Err(Unfit::new(what).at(start));
        }
        self.next += 1;
        seed.deserialize(StrDeserializer::new(key)).map(Some).map_err(|unfit: Unfit| unfit.at(start))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unfit> {
        let property = &self.all[self.next - 1];
        seed.deserialize(Node { value: &property.value, lines: self.lines })
            .map_err(|unfit| unfit.below(Step::Key(name(property).to_owned())))
    }
}

/// The two things that [`At`] asks for: its position, then its value.
struct Positioned<'s, 'a> {
    node: Node<'s, 'a>,
    given: u8,
}

impl<'de> SeqAccess<'de> for Positioned<'_, '_> {
    type Error = Unfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unfit> {
        self.given += 1;
        match self.given {
            1 => {
                let packed = self.node.lines.packed(self.node.value.start());
                seed.deserialize(U64Deserializer::new(packed)).map(Some)
            }
            2 => seed.deserialize(self.node).map(Some),
            _ => Ok(None),
        }
    }
}
