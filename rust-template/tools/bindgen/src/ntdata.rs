//! The JSON that `kernellab/ntdata` reads: layouts, status codes, bug checks, constants.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use syn::Item;

use crate::bindings::Bindings;
use crate::layouts::Data;

/// Where several names share a code, the one that people say.
const PREFERRED: &[&str] = &["STATUS_SUCCESS"];

pub fn files(bindings: &Bindings, data: &Data) -> Vec<(&'static str, String)> {
    vec![
        ("kernellab/ntdata/layouts.json", layouts(bindings, data)),
        (
            "kernellab/ntdata/ntstatus.json",
            codes(data, |name, ty| ty == "NTSTATUS" && name.starts_with("STATUS_")),
        ),
        ("kernellab/ntdata/bugchecks.json", codes(data, |_, ty| ty == "BUGCHECK_ERROR")),
        ("kernellab/ntdata/constants.json", constants(data)),
    ]
}

/// `Name_0`, `Name_0_1`: how windows-bindgen names the unnamed structs inside `Name`.
fn is_nested(outer: &str, ty: &str) -> bool {
    ty.strip_prefix(outer).is_some_and(|rest| {
        rest.starts_with('_') && rest[1..].bytes().all(|b| b.is_ascii_digit() || b == b'_')
    })
}

fn flatten(
    data: &Data,
    outer: &str,
    name: &str,
    base: u64,
    prefix: &str,
    out: &mut Map<String, Value>,
) {
    for field in &data.structs[name].fields {
        if field.name.starts_with("_align_") || field.name.starts_with("_bitfield") {
            continue;
        }
        // C has no name for these members: `Tail.Overlay.CurrentStackLocation`.
        let unnamed = field
            .name
            .strip_prefix("Anonymous")
            .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        let path = if unnamed { prefix.to_string() } else { format!("{prefix}{}", field.name) };
        let offset = base + field.offset;
        let nested = is_nested(outer, &field.ty) && data.structs.contains_key(&field.ty);
        if !unnamed {
            let ty = if nested { "{}" } else { &field.ty };
            let old = out.insert(path.clone(), json!([offset, field.size, ty]));
            assert!(old.is_none(), "{outer} has {path} twice");
        }
        if nested {
            let inner = if unnamed { path } else { format!("{path}.") };
            flatten(data, outer, &field.ty, offset, &inner, out);
        } else if unnamed {
            out.insert(format!("{prefix}{}", field.name), json!([offset, field.size, field.ty]));
        }
    }
}

fn layouts(bindings: &Bindings, data: &Data) -> String {
    let mut rows = BTreeMap::new();
    for (name, layout) in &data.structs {
        let outer_exists =
            name.rfind(|c: char| c != '_' && !c.is_ascii_digit()).is_some_and(|at| {
                let outer = &name[..=at];
                outer != name && data.structs.contains_key(outer) && is_nested(outer, name)
            });
        if outer_exists {
            continue;
        }
        let mut fields = Map::new();
        flatten(data, name, name, 0, "", &mut fields);
        rows.insert(
            name.clone(),
            json!({"size": layout.size, "align": layout.align, "fields": fields}),
        );
    }
    // Names for simple types, so that `KIRQL` or `NTSTATUS` in a field can be resolved.
    let mut aliases = Map::new();
    for item in &bindings.items {
        if let Item::Type(item) = item {
            aliases.insert(item.ident.to_string(), json!(crate::layouts::tidy(&item.ty)));
        }
    }
    for (name, ty) in &data.aliases {
        aliases.insert(name.clone(), json!(ty));
    }
    aliases.insert("BOOLEAN".to_string(), json!("u8"));
    let aliases = Value::Object(aliases);
    format!("{{\n\"aliases\": {aliases},\n\"structs\": {}}}\n", lines(rows))
}

fn codes(data: &Data, wanted: impl Fn(&str, &str) -> bool) -> String {
    let mut rows: Vec<(u32, bool, String)> = data
        .constants
        .iter()
        .filter(|(name, ty, _)| wanted(name, ty))
        .map(|(name, _, value)| {
            ((*value as u64) as u32, !PREFERRED.contains(&name.as_str()), name.clone())
        })
        .collect();
    rows.sort();
    lines(rows.into_iter().map(|(code, _, name)| (name, json!(code))))
}

fn constants(data: &Data) -> String {
    let rows: BTreeMap<String, Value> = data
        .constants
        .iter()
        .filter(|(_, ty, _)| ty != "NTSTATUS" && ty != "BUGCHECK_ERROR")
        .map(|(name, _, value)| {
            (
                name.clone(),
                json!(
                    i64::try_from(*value).map(Value::from).unwrap_or_else(|_| json!(*value as u64))
                ),
            )
        })
        .collect();
    lines(rows)
}

/// One entry a line, so that a difference can be read.
fn lines(rows: impl IntoIterator<Item = (String, Value)>) -> String {
    let body: Vec<String> =
        rows.into_iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    format!("{{\n{}\n}}\n", body.join(",\n"))
}
