//! Several servers behind one run must be one system: the same model, version and settings.

use crate::{Error, ServerInfo};

/// How servers differ from the first, a sentence each; none for a single one.
///
/// # Errors
/// [`Error::DifferentModels`].
pub(crate) fn differences(servers: &[ServerInfo]) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let Some((first, others)) = servers.split_first() else {
        return Ok(found);
    };
    for other in others {
        if let (Some(a), Some(b)) = (&first.model, &other.model)
            && base_name(a) != base_name(b)
        {
            let served =
                |server: &ServerInfo, model: &str| format!("{} serves {model}", server.endpoint);
            return Err(Error::DifferentModels {
                one: served(first, a),
                other: served(other, b),
            });
        }
        let mut differs = |what: &str, here: String, there: String| {
            if here != there {
                found.push(format!(
                    "servers differ in {what}: {} has {here}, {} has {there}",
                    first.endpoint, other.endpoint
                ));
            }
        };
        differs("API", first.dialect.into(), other.dialect.into());
        differs("the model's name", shown(&first.model), shown(&other.model));
        differs("version", shown(&first.version), shown(&other.version));
        differs(
            "context (max_model_len)",
            shown(&first.max_model_len),
            shown(&other.max_model_len),
        );
        let names = first.settings.keys().chain(other.settings.keys());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let value = |server: &ServerInfo| shown(&server.settings.get(name));
            differs(name, value(first), value(other));
        }
    }
    Ok(found)
}

fn shown<T: ToString>(value: &Option<T>) -> String {
    value
        .as_ref()
        .map_or("nothing that it says".into(), |value| {
            ossmark_files::Escaped(&value.to_string()).to_string()
        })
}

/// Where a model lies may differ between machines.
fn base_name(model: &str) -> &str {
    let model = model.trim_end_matches('/');
    model.rsplit('/').next().unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    fn server(model: Option<&str>, change: impl FnOnce(&mut ServerInfo)) -> ServerInfo {
        let mut info = ServerInfo {
            endpoint: "http://a:1".parse().unwrap(),
            dialect: "x",
            gathers: false,
            unsaid: Vec::new(),
            model_info: Value::Null,
            model: model.map(str::to_owned),
            version: Some("1".into()),
            max_model_len: Some(100),
            settings: Map::new(),
        };
        change(&mut info);
        info
    }

    #[test]
    fn different_models_are_refused_and_other_differences_are_told() {
        let a = || server(Some("openai/gpt-oss-120b"), |_| ());
        assert_eq!(differences(&[a()]).unwrap(), Vec::<String>::new());
        assert_eq!(differences(&[a(), a(), a()]).unwrap(), Vec::<String>::new());
        let refused = differences(&[a(), server(Some("gpt-oss-20b"), |_| ())]).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("gpt-oss-120b") && refused.contains("gpt-oss-20b"),
            "{refused}"
        );
        type Change = fn(&mut ServerInfo);
        let changes: [(&str, Change); 6] = [
            ("name", |s| s.model = Some("/models/gpt-oss-120b/".into())),
            ("version", |s| s.version = Some("2\u{1b}".into())),
            ("version", |s| s.version = None),
            ("max_model_len", |s| s.max_model_len = Some(99)),
            ("API", |s| s.dialect = "y"),
            ("disable_radix_cache", |s| {
                s.settings
                    .insert("disable_radix_cache".into(), Value::Bool(true));
            }),
        ];
        for (expected, change) in changes {
            let found = differences(&[a(), server(Some("openai/gpt-oss-120b"), change)]).unwrap();
            assert!(
                found.len() == 1 && found[0].contains(expected),
                "{expected}: {found:?}"
            );
            assert!(!found[0].contains('\u{1b}'));
        }
    }
}
