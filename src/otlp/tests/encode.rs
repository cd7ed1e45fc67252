//! A protobuf encoder for tests: messages as lists of fields, written in either field order.
//!
//! SDKs write fields in ascending order; the Collector writes back to front, so that they come out
//! in descending order with repeated fields in theirs.

/// The order in which fields are written, at every level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldOrder {
    Ascending,
    Descending,
}

/// A message: its fields as they were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<(u32, Value)>);

#[derive(Clone, Debug)]
enum Value {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Vec<u8>),
    Message(Message),
}

impl Message {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn varint(self, number: u32, value: u64) -> Self {
        self.with(number, Value::Varint(value))
    }

    pub(crate) fn fixed64(self, number: u32, value: u64) -> Self {
        self.with(number, Value::Fixed64(value))
    }

    pub(crate) fn fixed32(self, number: u32, value: u32) -> Self {
        self.with(number, Value::Fixed32(value))
    }

    pub(crate) fn bytes(self, number: u32, value: impl AsRef<[u8]>) -> Self {
        self.with(number, Value::Bytes(value.as_ref().to_vec()))
    }

    pub(crate) fn message(self, number: u32, value: Self) -> Self {
        self.with(number, Value::Message(value))
    }

    pub(crate) fn messages(self, number: u32, values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(self, |message, value| message.message(number, value))
    }

    fn with(mut self, number: u32, value: Value) -> Self {
        self.0.push((number, value));
        self
    }

    pub(crate) fn encode(&self, order: FieldOrder) -> Vec<u8> {
        let mut fields: Vec<_> = self.0.iter().collect();
        match order {
            FieldOrder::Ascending => fields.sort_by_key(|(number, _)| *number),
            FieldOrder::Descending => fields.sort_by_key(|(number, _)| std::cmp::Reverse(*number)),
        }
        let mut out = Vec::new();
        for (number, value) in fields {
            let mut tag = |wire: u32| varint(&mut out, u64::from(number << 3 | wire));
            match value {
                Value::Varint(value) => {
                    tag(0);
                    varint(&mut out, *value);
                }
                Value::Fixed64(value) => {
                    tag(1);
                    out.extend(value.to_le_bytes());
                }
                Value::Fixed32(value) => {
                    tag(5);
                    out.extend(value.to_le_bytes());
                }
                Value::Bytes(value) => {
                    tag(2);
                    varint(&mut out, value.len() as u64);
                    out.extend(value);
                }
                Value::Message(message) => {
                    tag(2);
                    let content = message.encode(order);
                    varint(&mut out, content.len() as u64);
                    out.extend(content);
                }
            }
        }
        out
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
