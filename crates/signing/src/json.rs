//! [`Object`]: a JSON object of which one field changes and the rest stays as it was written, byte for
//! byte and in its order.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

pub(crate) struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    /// The value of a field.
    pub(crate) fn get<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Option<T> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        serde_json::from_str(value.get()).ok()
    }

    /// Sets a field in its place, or at the end where it was not there.
    pub(crate) fn set<T: Serialize>(&mut self, name: &str, value: &T) -> serde_json::Result<()> {
        let value = to_raw_value(value)?;
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_changes() {
        let mut object: Object = serde_json::from_str(r#"{"z": 1.0, "a": {"c": [ ]}}"#).unwrap();
        object.set("z", &2).unwrap();
        object.set("new", &"text").unwrap();
        let text = serde_json::to_string(&object).unwrap();
        assert_eq!(text, r#"{"z":2,"a":{"c": [ ]},"new":"text"}"#);
        assert_eq!(object.get::<u8>("z"), Some(2));
        assert_eq!(object.get::<String>("a"), None);
    }
}
