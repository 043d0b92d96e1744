//! The functions that a model may call, as Harmony shows them: a TypeScript namespace made of JSON schemas. Pure.
//!
//! Every rule here is openai-harmony's (checked against it, oddities included: tests/it/functions.rs): what a model was trained
//! with is what it should see.

use crate::json::Json;

/// A function that a conversation offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name, without the namespace.
    pub name: String,
    /// What it does; may be empty.
    pub description: String,
    /// The JSON schema of its arguments; none: it takes none.
    pub parameters: Option<Json>,
}

/// Functions as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace(String);

/// Schemas can be deep and every line of a deep one is indented: this is the most text that they may become.
const MOST_BYTES: usize = 1 << 20;

impl Namespace {
    /// The namespace `functions`; none without functions.
    ///
    /// # Errors
    /// When it would be longer than 1 MiB; for people.
    pub fn new(functions: &[Function]) -> Result<Option<Self>, String> {
        if functions.is_empty() {
            return Ok(None);
        }
        let mut out = Text(String::from("namespace functions {\n\n"));
        for function in functions {
            let fits = out.function(function);
            fits.ok_or_else(|| {
                format!("the functions' schemas are longer than {MOST_BYTES} bytes as text")
            })?;
        }
        out.0.push_str("} // namespace functions");
        Ok(Some(Self(out.0)))
    }

    /// As it stands in the developer message.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// What has been written; every step says whether there is still room.
struct Text(String);

impl Text {
    fn push(&mut self, parts: &[&str]) -> Option<()> {
        for part in parts {
            self.0.push_str(part);
        }
        (self.0.len() <= MOST_BYTES).then_some(())
    }

    fn function(&mut self, function: &Function) -> Option<()> {
        for line in function.description.lines() {
            self.push(&["// ", line, "\n"])?;
        }
        self.push(&["type ", &function.name, " = ("])?;
        if let Some(schema) = &function.parameters {
            self.push(&["_: "])?;
            self.kind(schema, "")?;
        }
        self.push(&[") => any;\n\n"])
    }

    /// A schema as a type. What it holds on lines of its own is indented.
    fn kind(&mut self, schema: &Json, indent: &str) -> Option<()> {
        if let Some(variants) = schema.list("oneOf") {
            for variant in variants {
                self.push(&["\n", indent, " | "])?;
                let description = variant.text_of("description");
                self.variant(variant, description, shown_in_type, indent)?;
            }
            return Some(());
        }
        match schema.get("type") {
            Some(Json::List(names)) => {
                let names = names.iter().filter_map(Json::text).map(|name| match name {
                    "integer" => "number",
                    name => name,
                });
                let names: Vec<&str> = names.collect();
                match names.is_empty() {
                    true => self.push(&["any"]),
                    false => self.push(&[&names.join(" | ")]),
                }
            }
            Some(Json::Text(name)) => match name.as_str() {
                "object" => self.object(schema, indent),
                "string" => self.string(schema),
                "number" | "integer" => self.push(&["number"]),
                "boolean" => self.push(&["boolean"]),
                "array" => match schema.get("items") {
                    Some(items) => {
                        self.kind(items, indent)?;
                        self.push(&["[]"])
                    }
                    None => self.push(&["Array<any>"]),
                },
                _ => self.push(&["any"]),
            },
            _ => self.push(&["any"]),
        }
    }

    fn string(&mut self, schema: &Json) -> Option<()> {
        let values = schema.list("enum").unwrap_or_default();
        let values: Vec<&str> = values.iter().filter_map(Json::text).collect();
        if values.is_empty() {
            return self.push(&["string"]);
        }
        for (n, value) in values.into_iter().enumerate() {
            self.push(&[if n == 0 { "\"" } else { " | \"" }, value, "\""])?;
        }
        Some(())
    }

    fn object(&mut self, schema: &Json, indent: &str) -> Option<()> {
        self.comment(schema.text_of("description"), indent)?;
        self.push(&["{\n"])?;
        let required = schema.list("required").unwrap_or_default();
        if let Some(Json::Object(properties)) = schema.get("properties") {
            for (name, property) in properties {
                let optional = !required.iter().any(|needed| needed.text() == Some(name));
                self.property(name, optional, property, indent)?;
            }
        }
        self.push(&[indent, "}"])
    }

    fn property(
        &mut self,
        name: &str,
        optional: bool,
        property: &Json,
        indent: &str,
    ) -> Option<()> {
        let mark = if optional { "?" } else { "" };
        let default = property.get("default").map(|value| shown(value, property));
        let description = property.text_of("description");
        if let Some(title) = property.text_of("title") {
            self.push(&[indent, "// ", title, "\n", indent, "//\n"])?;
        }
        if let Some(variants) = property.list("oneOf") {
            self.examples(property, indent)?;
            // What the first variant says as well is said by neither.
            let first = variants
                .first()
                .and_then(|first| first.text_of("description"));
            self.comment(description.filter(|told| first != Some(told)), indent)?;
            if let Some(default) = default {
                self.push(&[indent, "// default: ", &default, "\n"])?;
            }
            self.push(&[indent, name, mark, ":\n"])?;
            for (n, variant) in variants.iter().enumerate() {
                let own = variant.text_of("description");
                let own = own.filter(|own| description.is_none_or(|told| n > 0 && told != *own));
                self.push(&[indent, " | "])?;
                self.variant(variant, own, shown, indent)?;
                self.push(&["\n"])?;
            }
            return self.push(&[indent, ",\n"]);
        }
        self.comment(description, indent)?;
        self.examples(property, indent)?;
        self.push(&[indent, name, mark, ": "])?;
        self.nullable(property, &format!("{indent}    "))?;
        self.push(&[","])?;
        if let Some(default) = default {
            self.push(&[" // default: ", &default])?;
        }
        self.push(&["\n"])
    }

    /// A schema as a type that may be null, unless something in it says so already.
    fn nullable(&mut self, schema: &Json, indent: &str) -> Option<()> {
        let from = self.0.len();
        self.kind(schema, indent)?;
        match schema.get("nullable") {
            Some(Json::Bool(true)) if !self.0[from..].contains("null") => self.push(&[" | null"]),
            _ => Some(()),
        }
    }

    fn variant(
        &mut self,
        variant: &Json,
        description: Option<&str>,
        shown: fn(&Json, &Json) -> String,
        indent: &str,
    ) -> Option<()> {
        self.nullable(variant, &format!("{indent}   "))?;
        let default = variant.get("default");
        if description.is_some() || default.is_some() {
            self.push(&[" //"])?;
        }
        if let Some(description) = description {
            self.push(&[" ", description])?;
        }
        if let Some(default) = default {
            self.push(&[" default: ", &shown(default, variant)])?;
        }
        Some(())
    }

    fn comment(&mut self, text: Option<&str>, indent: &str) -> Option<()> {
        match text {
            Some(text) => self.push(&[indent, "// ", text, "\n"]),
            None => Some(()),
        }
    }

    fn examples(&mut self, property: &Json, indent: &str) -> Option<()> {
        let examples = property.list("examples").unwrap_or_default();
        if !examples.is_empty() {
            self.push(&[indent, "// Examples:\n"])?;
        }
        for example in examples.iter().filter_map(Json::text) {
            self.push(&[indent, "// - \"", example, "\"\n"])?;
        }
        Some(())
    }
}

/// A property's default as it is shown: a text in quotes, and without where the schema lists its values.
fn shown(value: &Json, schema: &Json) -> String {
    match value.text() {
        Some(text) if lists_values(schema) => text.to_owned(),
        Some(text) => format!("\"{text}\""),
        None => value.to_string(),
    }
}

/// That of a type that is one of several, outside of properties.
fn shown_in_type(value: &Json, schema: &Json) -> String {
    match value.text() {
        Some(text) if !lists_values(schema) => format!("\"{text}\""),
        _ => value.to_string(),
    }
}

fn lists_values(schema: &Json) -> bool {
    schema.list("enum").is_some_and(|values| !values.is_empty())
}
