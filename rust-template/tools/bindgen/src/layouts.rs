//! Sizes, offsets and constant values, measured by rustc on the bindings themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use quote::ToTokens;
use syn::{Expr, Fields, Item, Type};

use crate::bindings::Bindings;

/// One field as declared: nested structs are not yet flattened.
pub struct Field {
    pub name: String,
    pub offset: u64,
    pub size: u64,
    pub ty: String,
}

pub struct Struct {
    pub size: u64,
    pub align: u64,
    pub fields: Vec<Field>,
}

#[derive(Default)]
pub struct Data {
    pub structs: BTreeMap<String, Struct>,
    /// Name, declared type, value.
    pub constants: Vec<(String, String, i128)>,
    /// The type aliases of inline/constants.rs.
    pub aliases: Vec<(String, String)>,
}

const INTEGERS: &[&str] = &["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "usize", "isize"];

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the layouts are those of x86-64: run this on a 64-bit computer");

/// Compiles a program that prints the layouts, and runs it.
pub fn measure(bindings: &Bindings, sys: &Path, scratch: &Path) -> Data {
    let inline =
        std::fs::read_to_string(sys.join("inline/constants.rs")).expect("inline/constants.rs");
    let inline = syn::parse_file(&inline).expect("inline/constants.rs is Rust").items;
    std::fs::write(scratch.join("base.rs"), bindings.base_text()).expect("a scratch file");
    std::fs::write(scratch.join("main.rs"), program(&bindings.items, &inline))
        .expect("a scratch file");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let exe = scratch.join(format!("layouts{}", std::env::consts::EXE_SUFFIX));
    let status = Command::new(rustc)
        .args(["--edition", "2024", "--crate-name", "layouts", "-Awarnings", "-Copt-level=0"])
        .arg("-o")
        .arg(&exe)
        .arg(scratch.join("main.rs"))
        .status()
        .expect("rustc runs");
    assert!(status.success(), "the layout program does not compile");
    let output = Command::new(exe).output().expect("the layout program runs");
    parse(&String::from_utf8(output.stdout).expect("UTF-8"), bindings, &inline)
}

/// Type aliases that end in an integer.
fn integer_aliases(items: &[Item]) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = INTEGERS.iter().map(ToString::to_string).collect();
    known.insert("BOOLEAN".to_string());
    loop {
        let before = known.len();
        for item in items {
            if let Item::Type(item) = item
                && known.contains(&text(&item.ty))
            {
                known.insert(item.ident.to_string());
            }
        }
        if known.len() == before {
            return known;
        }
    }
}

fn program(items: &[Item], inline: &[Item]) -> String {
    let mut out =
        String::from("mod base; use base::*; use core::mem::{size_of, align_of, offset_of};\n");
    let known = integer_aliases(&[items, inline].concat());
    // What inline/constants.rs adds are plain types and values: they are measured as written there.
    for item in inline {
        match item {
            Item::Type(item) => writeln!(out, "{}", item.to_token_stream()).expect("a string"),
            Item::Const(item) if known.contains(&text(&item.ty)) => {
                writeln!(out, "{}", item.to_token_stream()).expect("a string");
            }
            Item::Struct(_) | Item::Union(_) => {
                writeln!(out, "{}", item.to_token_stream()).expect("a string");
            }
            Item::Fn(item) if item.sig.constness.is_some() => {
                writeln!(out, "{}", item.to_token_stream()).expect("a string");
            }
            _ => {}
        }
    }
    out.push_str("static ROWS: &[(&str, &str, u64, u64)] = &[\n");
    for item in items.iter().chain(inline) {
        let Some((name, fields)) = fields_of(item) else { continue };
        let _ = writeln!(
            out,
            "(\"{name}\", \"\", size_of::<{name}>() as u64, align_of::<{name}>() as u64),"
        );
        for field in &fields.named {
            let field_name = field.ident.as_ref().expect("a named field");
            let _ = writeln!(
                out,
                "(\"{name}\", \"{field_name}\", offset_of!({name}, {field_name}) as u64, size_of::<{}>() as u64),",
                text(&field.ty)
            );
        }
    }
    out.push_str("];\nstatic VALUES: &[(&str, &str, i128)] = &[\n");
    for item in items.iter().chain(inline) {
        if let Item::Const(item) = item
            && known.contains(&text(&item.ty))
            && !matches!(*item.expr, Expr::Struct(_))
        {
            let (name, ty) = (&item.ident, text(&item.ty));
            let _ = writeln!(out, "(\"{name}\", \"{ty}\", {name} as i128),");
        }
    }
    out.push_str("];\nfn main() { for r in ROWS { println!(\"{} {} {} {}\", r.0, if r.1.is_empty() { \"-\" } else { r.1 }, r.2, r.3) }\n");
    out.push_str("for v in VALUES { println!(\"= {} {} {}\", v.0, v.1, v.2) } }\n");
    out
}

fn fields_of(item: &Item) -> Option<(&syn::Ident, &syn::FieldsNamed)> {
    match item {
        Item::Struct(item) => match &item.fields {
            Fields::Named(fields) => Some((&item.ident, fields)),
            _ => None,
        },
        Item::Union(item) => Some((&item.ident, &item.fields)),
        _ => None,
    }
}

fn text(ty: &Type) -> String {
    ty.to_token_stream().to_string()
}

fn parse(output: &str, bindings: &Bindings, inline: &[Item]) -> Data {
    let mut types = BTreeMap::new();
    for item in bindings.items.iter().chain(inline) {
        let Some((name, fields)) = fields_of(item) else { continue };
        for field in &fields.named {
            let ident = field.ident.as_ref().expect("a named field");
            types.insert((name.to_string(), ident.to_string()), tidy(&field.ty));
        }
    }
    let mut data = Data::default();
    for item in inline {
        if let Item::Type(item) = item {
            data.aliases.push((item.ident.to_string(), tidy(&item.ty)));
        }
    }
    for line in output.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "=" {
            let value = words[3].parse().expect("a number");
            data.constants.push((words[1].to_string(), words[2].to_string(), value));
            continue;
        }
        let (first, second) =
            (words[2].parse().expect("a number"), words[3].parse().expect("a number"));
        if words[1] == "-" {
            data.structs.insert(
                words[0].to_string(),
                Struct { size: first, align: second, fields: vec![] },
            );
            continue;
        }
        let ty = types[&(words[0].to_string(), words[1].to_string())].clone();
        let field = Field { name: words[1].to_string(), offset: first, size: second, ty };
        data.structs
            .get_mut(words[0])
            .expect("a struct comes before its fields")
            .fields
            .push(field);
    }
    data
}

/// A type as Rust source writes it, short: `*mut MDL`, `[u8; 4]`, `fn` for a function pointer.
pub fn tidy(ty: &Type) -> String {
    match ty {
        Type::Ptr(ty) => {
            let kind = if ty.mutability.is_some() { "*mut" } else { "*const" };
            format!("{kind} {}", tidy(&ty.elem))
        }
        Type::Array(ty) => format!("[{}; {}]", tidy(&ty.elem), ty.len.to_token_stream()),
        Type::Path(ty) => {
            let last = ty.path.segments.last().expect("a path");
            if last.ident == "Option" { "fn".to_string() } else { last.ident.to_string() }
        }
        other => other.to_token_stream().to_string(),
    }
}
